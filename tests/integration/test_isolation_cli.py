"""A run whose candidates hang, crash and litter: the command goes on without them, and nothing stays behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

TROUBLES = """
import ctypes, os, pathlib, signal, subprocess, threading
import pandas as pd
from sklearn.dummy import DummyRegressor
from pegboard import ModelSpec, SourceSpec, hookimpl

class Doing(DummyRegressor):
    def __init__(self, deed="rest", strategy="mean"):
        super().__init__(strategy=strategy)
        self.deed = deed

    def fit(self, X, y, sample_weight=None):
        DEEDS[self.deed]()
        return super().fit(X, y)

def hang():
    if "FIFO" in os.environ:
        pathlib.Path(os.environ["FIFO"]).write_text(f"{os.getpid()} ")
    while True:
        pass

DEEDS = {
    "rest": lambda: None,
    "hangs": hang,
    "crashes": lambda: ctypes.string_at(0),
    "is-killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "prints": lambda: (print("{", flush=True), os.system("echo {")),
    "leaks": lambda: (subprocess.Popen(["sleep", "3600"]), threading.Thread(target=threading.Event().wait).start()),
}

MEASURES = {"rest": "mean"}

def table():
    return pd.DataFrame({"x": [float(i) for i in range(200)], "y": [float(i % 7) for i in range(200)]})

@hookimpl
def register_sources():
    return [SourceSpec(name="table", task="regression", target="y", load=table)]

@hookimpl
def register_models():
    return [
        ModelSpec(name=deed, task="regression", make=lambda deed=deed: Doing(deed, MEASURES.get(deed, "median")))
        for deed in DEEDS
    ]
"""
SCRIPT = '''
import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from pegboard import ModelSpec, PreprocessorSpec, ScorerSpec
from pegboard.catalog import Catalog
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.fitting import Isolation
from pegboard.training.values import Table
import troubles

class Here(DummyRegressor):
    """Belongs to no module that could be imported."""

print("once")
board = Catalog(load_plugins())
(source,) = troubles.register_sources()
frame = source.load()
table = Table.of(frame, learn_signature(frame, source))
models = [ModelSpec(name="here", task="regression", make=Here), *troubles.register_models()]
tabular, rmse = board.get(PreprocessorSpec, "tabular"), board.get(ScorerSpec, "rmse")
contenders = [Contender(m, tabular, table.signature, 0) for m in models if m.name in NAMES]
folds = [(np.arange(100), np.arange(100, 200)), (np.arange(100, 200), np.arange(100))]
print(len(compare(table, folds, contenders, rmse, isolation=Isolation("process", 600), workers=2)["here"].scores))
'''


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with an installed plugin beside it, and in it a file that is named as a module of Python's."""
    information = tmp_path / "lib" / "pegboard_troubles-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pegboard-troubles\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[pegboard]\ntroubles = troubles\n")
    (tmp_path / "lib" / "troubles.py").write_text(TROUBLES)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "queue.py").write_text("raise SystemError('this is not the queue of the standard library')\n")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command there; at the end, nothing that it has started may be left, wherever that may have gone."""
    mark = uuid.uuid4().hex
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    settings = {
        "PYTHONPATH": str(place / "lib"),
        "MARK": mark,
        "PEGBOARD_LOAD_PLUGINS": "troubles,sklearn",
        "PEGBOARD_FOLDS": "2",
    }

    def run(*command: str, **more: str) -> subprocess.Popen[str]:
        environ, pipe = {**ours, **settings, **more}, subprocess.PIPE
        return subprocess.Popen(command, cwd=place / "work", env=environ, stdout=pipe, stderr=pipe, text=True)

    yield run
    left = [pid for pid in running(mark) if not is_gone(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def running(mark: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, or for 30 seconds."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    return bool(select.select([watched], [], [], 30)[0])


def told(fifo: Path) -> int:
    """Return the number that a process writes there; where several do, that of the first."""
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([end], [], [], 120)[0], "nobody wrote"
    return int(os.read(end, 100).split()[0])


PEGBOARD = str(Path(sys.executable).with_name("pegboard"))


def test_training_goes_on_without_those_that_hang_crash_or_litter(start: Callable[..., subprocess.Popen[str]]) -> None:
    everybody = "rest,hangs,crashes,is-killed,prints,leaks"
    command = (PEGBOARD, "train", "--source", "table", "--fit-timeout", "20", "--json")
    process = start(*command, PEGBOARD_MODELS=everybody)
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    board = {c["name"]: c for c in json.loads(printed)["leaderboard"]["candidates"]}
    assert {name: c["error"] for name, c in board.items() if c["error"]} == {
        "hangs": "fold 1: no end after 20 s (--fit-timeout)",
        "crashes": "fold 1: its process was killed by SIGSEGV",
        "is-killed": "fold 1: its process was killed by SIGKILL (was memory short?)",
    }
    assert [len(board[name]["scores"]) for name in ("rest", "prints", "leaks", "dummy-regressor")] == [2, 2, 2, 2]
    assert "Traceback" not in said


def test_an_interrupt_ends_the_run_and_a_fit_that_hangs(
    start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    process = start(PEGBOARD, "train", "--source", "table", "--model", "hangs", FIFO=str(place / "fifo"))
    assert told(place / "fifo") in running(mark_of(process))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Aborted!" in said
    assert "Traceback" not in said


def mark_of(process: subprocess.Popen[str]) -> str:
    environ = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    return next(entry for entry in environ if entry.startswith("MARK="))


def test_a_run_that_is_killed_takes_its_fits_with_it(start: Callable[..., subprocess.Popen[str]], place: Path) -> None:
    script = f"NAMES = 'hangs'\n{SCRIPT}"
    process = start(sys.executable, "-P", "-c", script, FIFO=str(place / "fifo"))
    assert told(place / "fifo") in running(mark_of(process))
    process.kill()
    process.communicate(timeout=300)


def test_a_script_without_a_guard_runs_once_and_its_own_classes_compete(
    start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    (place / "script.py").write_text(f"NAMES = ('here', 'rest')\n{SCRIPT}")
    process = start(sys.executable, str(place / "script.py"))
    printed, said = process.communicate(timeout=300)
    assert (process.returncode, printed) == (0, "once\n2\n"), said
