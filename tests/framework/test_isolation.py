"""In processes of their own, candidates hang, crash and litter by themselves; the others score as in threads."""

from __future__ import annotations

import ctypes
import importlib.util
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR
from threadpoolctl import threadpool_info

from pegboard import ModelSpec, PreprocessorSpec, ScorerSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.errors import PluginError, TrainingError
from pegboard.leaderboard import Leaderboard
from pegboard.learning import learn_signature
from pegboard.training import working
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.fitting import Isolation
from pegboard.training.values import Table

Make = Callable[..., Contender]
Compare = Callable[..., Leaderboard]


class Doing(DummyRegressor):  # type: ignore[misc]
    """Does something while it is fitted, and then predicts the mean."""

    def __init__(self, do: Callable[[], object] = list) -> None:
        super().__init__()
        self.do = do

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        self.do()
        return super().fit(X, y)


@pytest.fixture(scope="module")
def table() -> Table:
    rng = np.random.default_rng(0)
    numbers = {f"x{i}": np.where(rng.random(300) < 0.05, np.nan, rng.normal(size=300)) for i in range(4)}
    where, n, y = rng.choice(["here", "there", None], 300), rng.integers(0, 9, 300), rng.normal(size=300)
    frame = pd.DataFrame(numbers).assign(where=where, n=n, y=y)
    return Table.of(frame, learn_signature(frame, SourceSpec(name="t", target="y", load=lambda: frame)))


@pytest.fixture
def contend(table: Table, catalog: Catalog) -> Make:
    def make(name: str, factory: Callable[..., Any]) -> Contender:
        model = ModelSpec(name=name, task="regression", make=factory)
        return Contender(model, catalog.get(PreprocessorSpec, "tabular"), table.signature, 0)

    return make


@pytest.fixture
def doing(contend: Make) -> Make:
    return lambda name, do: contend(name, lambda: Doing(do))


@pytest.fixture
def compared(table: Table, catalog: Catalog) -> Compare:
    """Compare on four folds, in processes unless it is said otherwise."""
    folds = [(np.flatnonzero(np.arange(300) % 4 != i), np.flatnonzero(np.arange(300) % 4 == i)) for i in range(4)]

    def run(contenders: Sequence[Contender], mode: str = "process", timeout: float = 300, **more: Any) -> Leaderboard:
        options: dict[str, Any] = {"scorer": catalog.get(ScorerSpec, "rmse"), "workers": 2, **more}
        return compare(table, folds, contenders, isolation=Isolation(mode, timeout), **options)

    return run


def hang() -> None:
    while True:
        pass


def hold_the_interpreter() -> None:
    ctypes.PyDLL(None).pause()


def lose_all_files() -> None:
    os.closerange(3, 256)
    signal.pause()


# What a candidate does, and what is said of it; nothing where it does no harm.
DEEDS: dict[str, tuple[Callable[[], object], str | None]] = {
    "hangs": (hang, "no end after 20 s (--fit-timeout)"),
    "hangs-in-c": (hold_the_interpreter, "no end after 20 s (--fit-timeout)"),
    "exits": (partial(sys.exit, "enough"), "SystemExit: enough"),
    "leaves": (partial(os._exit, 0), "its process ended with exit status 0"),
    "leaves-angrily": (partial(os._exit, 3), "its process ended with exit status 3"),
    "crashes": (partial(ctypes.string_at, 0), "its process was killed by SIGSEGV"),
    "is-killed": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "its process was killed by SIGKILL (was memory short?)",
    ),
    "aborts": (os.abort, "its process was killed by SIGABRT"),
    "closes-files": (lose_all_files, "its process closed the channel to the run"),
    "interrupts": (partial(signal.raise_signal, signal.SIGINT), "KeyboardInterrupt: "),
    "raises": (partial(int, "x"), "ValueError: invalid literal for int() with base 10: 'x'"),
    "prints": (lambda: (print("hello"), os.write(1, b"hello\n")), None),
    "leaks-threads": (lambda: threading.Thread(target=threading.Event().wait).start(), None),
    "leaks-processes": (lambda: subprocess.Popen(["sleep", "3600"]), None),
    "has-processes": (lambda: multiprocessing.Process(target=int, daemon=True).start(), None),
}


def test_whatever_a_candidate_does_costs_that_candidate_alone_and_all_others_score_as_in_threads(
    contend: Make, doing: Make, compared: Compare
) -> None:
    forest = partial(RandomForestRegressor, n_estimators=10)
    good = [contend("linear", LinearRegression), contend("svr", SVR), contend("forest", forest), contend("mean", Doing)]
    bad = [doing(name, deed) for name, (deed, _) in DEEDS.items()]
    board, alone = compared([*bad, *good], timeout=20, workers=4), compared(good, "thread")
    said = {c.name: c.error for c in board.candidates if c.error}
    assert said == {name: f"fold 1: {error}" for name, (_, error) in DEEDS.items() if error}
    assert {name: board[name].scores for name in ("linear", "svr", "forest", "mean")} == {
        c.name: c.scores for c in alone.candidates
    }
    for name, (_, error) in DEEDS.items():
        assert board[name].scores == (() if error else alone["mean"].scores)
    assert multiprocessing.active_children() == []


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, or for 30 seconds."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    return bool(select.select([watched], [], [], 30)[0])


def told(board: Leaderboard, name: str) -> set[str]:
    """Return what a candidate's fits have warned of."""
    assert board[name].error is None
    return {
        text for kind, _, text in (warning.partition(": ") for warning in board[name].warnings) if kind == "UserWarning"
    }


def test_what_candidates_have_started_ends_with_them(doing: Make, compared: Compare) -> None:
    def litter() -> None:
        warnings.warn(f"{os.getpid()} {subprocess.Popen(['sleep', '3600']).pid}", stacklevel=1)

    found = told(compared([doing("litters", litter)]), "litters")
    pids = {int(pid) for pair in found for pid in pair.split()}
    assert len(pids) >= 5  # at least one worker, and what its four folds have started
    assert all(map(is_gone, pids))


def test_no_process_fits_two_candidates_and_one_is_kept_for_a_candidates_folds(doing: Make, compared: Compare) -> None:
    def tell() -> None:
        warnings.warn(str(os.getpid()), stacklevel=1)

    board = compared([doing("a", tell), doing("b", tell)])
    assert told(board, "a").isdisjoint(told(board, "b"))
    assert len(told(compared([doing("a", tell)], workers=1), "a")) == 1


def test_after_a_crash_no_further_fold_is_started(doing: Make, compared: Compare, tmp_path: Path) -> None:
    def crash() -> None:
        with (tmp_path / "fits").open("a") as file:
            file.write("x")
        os.abort()

    compared([doing("crashes", crash), doing("calm", list)], workers=1)
    assert (tmp_path / "fits").read_text() == "x"


def test_a_fit_is_where_the_run_is(doing: Make, compared: Compare, monkeypatch: Any, tmp_path: Path) -> None:
    compared([doing("first", list)])  # the server that forks runs now, and what follows comes later

    def tell() -> None:
        pools = sorted({pool["num_threads"] for pool in threadpool_info()})
        warnings.warn(f"{os.environ.get('PEGBOARD_LATER')} {os.getcwd()} {sys.path[-1]} {pools}", stacklevel=1)

    monkeypatch.setenv("PEGBOARD_LATER", "yes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, "/somewhere"])
    assert told(compared([doing("tells", tell)]), "tells") == {f"yes {tmp_path} /somewhere [1]"}


REMEDY = 'put what it is made of into a module that can be imported, or set isolation = "thread"'


class Unloadable:
    """Is pickled, and never comes back."""

    def __reduce__(self) -> Any:
        return int, ("x",)

    def __call__(self) -> Any:
        return DummyRegressor()


def test_a_candidate_that_cannot_be_sent_fails_with_a_remedy(contend: Make, doing: Make, compared: Compare) -> None:
    lock = threading.Lock()
    contenders = [doing("locks", lambda: lock), contend("unloadable", Unloadable()), contend("good", Doing)]
    board = compared(contenders)
    assert board["good"].error is None
    sent, loaded = board["locks"].error, board["unloadable"].error
    assert (
        sent
        == f"fold 1: it cannot be sent to another process: TypeError: cannot pickle '_thread.lock' object: {REMEDY}"
    )
    assert loaded == f"fold 1: it cannot be loaded in another process: {DEEDS['raises'][1]}: {REMEDY}"
    assert compared(contenders, "thread")["unloadable"].error is None


def scorer(make: Callable[[], Any]) -> ScorerSpec:
    return ScorerSpec(name="odd", tasks=("regression",), make=make)


def test_a_scorer_that_fails_is_no_candidates_fault(contend: Make, compared: Compare) -> None:
    lock, contender = threading.Lock(), contend("good", Doing)
    with pytest.raises(PluginError, match="scorer 'odd' failed: ValueError"):
        compared([contender], scorer=scorer(lambda: int("x")))
    with pytest.raises(TrainingError, match=r"scorer 'odd' cannot be sent to another process: TypeError: .*: put what"):
        compared([contender], scorer=scorer(lambda: lambda *_: lock and 1.0))


def test_a_table_that_cannot_be_written_names_the_remedy(
    contend: Make, compared: Compare, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(TrainingError, match=r"the table cannot be written .*gone.*: set TMPDIR to a directory"):
        compared([contend("good", Doing)])


@pytest.mark.parametrize("importable", [True, False])
def test_models_come_from_modules_whether_or_not_those_can_be_imported(
    importable: bool, contend: Make, compared: Compare, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / "own_models.py"
    file.write_text("from sklearn.svm import SVR\n\nclass Own(SVR):\n    pass\n\ndef make():\n    return Own()\n")
    if importable:
        monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("own_models", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "own_models", module)
    spec.loader.exec_module(module)
    contenders = [contend("own", module.make), contend("svr", SVR)]
    board = compared(contenders)
    assert board["own"].scores == board["svr"].scores != ()


def test_a_table_comes_to_a_worker_as_it_is(table: Table, tmp_path: Path) -> None:
    rows, file = np.arange(len(table)), str(tmp_path / "table")
    working.write(file, table, [(rows[:3], rows[3:5])])
    there, folds = working.read(file)
    pd.testing.assert_frame_equal(there.rows(rows)[0], table.rows(rows)[0], check_exact=True)
    assert {type(value) for value in there.features["where"]} == {str, float}
    assert (there.signature, there.target.tolist()) == (table.signature, table.target.tolist())
    assert [[part.tolist() for part in fold] for fold in folds] == [[[0, 1, 2], [3, 4]]]


def test_leaving_a_comparison_ends_its_processes_at_once(doing: Make, compared: Compare, tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")

    def tell_and_hang() -> None:
        fifo.write_text(f"{os.getpid()} ")
        hang()

    pids: list[int] = []

    def stop(*_: Any) -> None:
        pids.append(int(fifo.read_text().split()[0]))  # where several write, that of the first
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compared([doing("hangs", tell_and_hang), doing("calm", list)], timeout=600, on_fold=stop)
    assert time.monotonic() - start < 300  # not when the hanging fit's time is up
    assert is_gone(pids[0])
