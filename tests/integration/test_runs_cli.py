"""``pegboard runs`` as a user has it: every run is there, the killed one too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pegboard.registry import Registry

Command = Callable[..., Any]
QUICK = ("--source", "house-prices", "--model", "linear-regression", "--folds", "2")
#: Says where it is when it is asked for its table, and then waits to be ended.
WAITS = """
import sys, time
from pegboard import SourceSpec, hookimpl
def load():
    print("loading", flush=True)
    time.sleep(600)
@hookimpl
def register_sources():
    return [SourceSpec(name="waits", task="regression", target="y", load=load)]
"""
HEAVY = ("pandas", "sklearn", "matplotlib", "jinja2", "great_expectations")

TRACKER = """
import os
from pegboard import hookimpl

@hookimpl
def after_run(run):
    print("told of", run.number, run.status)
    if "AWAY" in os.environ and run.number == 2:
        raise ConnectionError("away")

@hookimpl
def after_promote(entry):
    print(f"told of {entry.alias}: {entry}")
"""


def listed(pegboard: Command, *filters: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(pegboard("runs", "list", "--json", *filters).stdout)
    return runs


def said(stderr: str) -> list[str]:
    """Return what the tracker has printed: nothing of a plugin's may get among a command's output."""
    return [line for line in stderr.splitlines() if line.startswith("told of ")]


def ended(directory: Path, end: signal.Signals) -> int:
    """Train on a source that waits, in a process of its own, and end it."""
    (directory / "waits.py").write_text(WAITS)
    info = directory / "waits-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waits\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pegboard]\nwaits = waits\n")
    command = [sys.executable, "-m", "pegboard", "train", "--source", "waits", "--registry", "registry"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    environ = {**ours, "PYTHONPATH": str(directory)}
    # Whoever runs the tests in the background has them ignore SIGINT, and children inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed,  # noqa: PLW1509 - no thread runs here
    ) as process:
        assert process.stderr is not None
        assert b"loading\n" in iter(process.stderr.readline, b"")
        process.send_signal(end)
        process.communicate(timeout=60)
    return process.returncode


def test_training_says_which_run_it_was(training: tuple[Path, Any], pegboard: Command) -> None:
    _, done = training
    assert "this was run 1; its report: pegboard runs report 1 --open" in done.stdout
    assert "for run 1" in done.stderr
    assert json.loads(pegboard("train", *QUICK, "--json").stdout)["run"] == 1
    assert json.loads(pegboard("train", *QUICK, "--json").stdout)["run"] == 2


def test_runs_are_listed_the_newest_first_and_filtered(trained: Command) -> None:
    trained("train", *QUICK, "--name", "second", "--seed", "1")
    trained(
        "train", "--source", "house-prices", "--set", "path=nowhere.csv", "--set", "url=http://127.0.0.1:9/", status=1
    )
    every = listed(trained)
    assert [(run["run"], run["name"], run["status"]) for run in every] == [
        (3, "house-prices", "failed"),
        (2, "second", "published"),
        (1, "house-prices", "published"),
    ]
    assert every[0]["error"]["stage"] == "source"
    assert every[2]["model"] == "linear-regression"
    assert every[1]["data"] == every[2]["data"]
    assert every[1]["version"] == "second/1"
    numbers = {
        ("--name", "second"): [2],
        ("--status", "failed"): [3],
        ("--model", "linear-regression"): [2, 1],
        ("--limit", "2"): [3, 2],
        ("--limit", "1", "--status", "published"): [2],
        ("--since", "1h"): [3, 2, 1],
        ("--since", "2026-01-01"): [3, 2, 1],
        ("--since", "2999-01-01"): [],
        ("--name", "nobody"): [],
    }
    assert {filters: [run["run"] for run in listed(trained, *filters)] for filters in numbers} == numbers
    assert "no run in" in trained("runs", "list", "--name", "nobody").stdout
    shown = trained("runs", "list").stdout
    assert re.search(r"^ +2 +second +published +linear-regression +rmse [\d,]+ ", shown, re.MULTILINE)
    assert "is neither a span (12h, 7d, 2w) nor a time" in trained("runs", "list", "--since", "soon", status=2).stderr


def test_a_run_is_shown_and_compared(trained: Command) -> None:
    trained("train", *QUICK)
    trained("train", *QUICK, "--seed", "1", "--scorer", "r2")
    shown = json.loads(trained("runs", "show", "1", "--json").stdout)
    assert (shown["number"], shown["version"], shown["scorer"]) == (1, "house-prices/1", "rmse")
    text = trained("runs", "show", "1").stdout
    assert shown["digest"] in text
    assert shown["data"]["fingerprint"] in text
    assert "★   linear-regression" in text
    same = json.loads(trained("runs", "compare", "1", "2", "--json").stdout)
    assert same["not_comparable"] == []
    assert same["scores"][0]["differences"] == [None, {"mean": 0.0, "error": 0.0}]
    assert {row["section"] for row in same["differences"]} <= {"outcome", "seconds"}
    other = json.loads(trained("runs", "compare", "1", "3", "--json").stdout)
    (reasons,) = other["not_comparable"]
    assert reasons == {"run": 3, "reasons": ["another scorer: rmse and r2", "other folds: seed is 0 and 1"]}
    told = trained("runs", "compare", "1", "2", "3").stdout
    assert "the scores of runs 1 and 3 are not comparable: another scorer: rmse and r2; other folds" in told
    assert "2 - 1" in told
    assert "3 - 1" not in told
    assert "give two runs at least" in trained("runs", "compare", "1", "1", status=2).stderr
    assert "holds no run 9; `pegboard runs list` shows" in trained("runs", "compare", "1", "9", status=1).stderr


def test_a_report_is_written_for_a_run_of_any_end(trained: Command, tmp_path: Path) -> None:
    assert re.fullmatch(r"wrote run-1.html \(\d+ kB\)\n", trained("runs", "report", "1").stdout)
    assert "house-prices/1" in (tmp_path / "run-1.html").read_text()
    trained("train", *QUICK, "--folds", "2000", status=1)
    done = json.loads(trained("runs", "report", "2", "--output", "failed.html", "--json").stdout)
    assert done == {"run": 2, "file": "failed.html", "bytes": (tmp_path / "failed.html").stat().st_size}
    assert "are too few for 2000 folds" in (tmp_path / "failed.html").read_text()
    refused = trained("runs", "report", "1", "--output", "no/such/folder.html", status=1).stderr
    assert "cannot write no/such/folder.html: No such file or directory; name another file with --output" in refused


def test_trackers_are_told_again(trained: Command, tmp_path: Path) -> None:
    (tmp_path / "tracker.py").write_text(TRACKER)
    (tmp_path / "tracker-1.dist-info").mkdir()
    (tmp_path / "tracker-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tracker\nVersion: 1\n")
    (tmp_path / "tracker-1.dist-info" / "entry_points.txt").write_text("[pegboard]\ntracker = tracker\n")
    trained("train", *QUICK, "--folds", "2000", status=1)
    (tmp_path / "registry" / "runs" / "00000003").mkdir()
    (tmp_path / "registry" / "runs" / "00000003" / "started.json").write_text("{}")
    done = trained("runs", "sync", PYTHONPATH=str(tmp_path))
    assert said(done.stderr) == ["told of 1 published", "told of 2 failed"]
    assert done.stdout.splitlines() == [
        "told the plugins of 2 runs and 0 promotions; left out, being unfinished or damaged: 3"
    ]
    done = trained("runs", "sync", "2", PYTHONPATH=str(tmp_path))
    assert said(done.stderr) == ["told of 2 failed"]
    assert done.stdout == "told the plugins of 1 run and 0 promotions\n"

    Registry(tmp_path / "registry").promote("house-prices/1", "staging")
    lost = trained("runs", "sync", status=1, PYTHONPATH=str(tmp_path), AWAY="1")
    assert said(lost.stderr)[2:] == ["told of staging: house-prices/1"]
    assert lost.stdout.splitlines() == [
        "told the plugins of 2 runs and 1 promotion; left out, being unfinished or damaged: 3"
    ]
    assert "plugin tracker (tracker 1) failed in after_run: ConnectionError: away" in lost.stderr
    assert "a plugin could not take everything: see above, and run `pegboard runs sync` again later" in lost.stderr


@pytest.mark.parametrize(
    ("end", "status"), [(signal.SIGKILL, "unfinished"), (signal.SIGTERM, "unfinished"), (signal.SIGINT, "interrupted")]
)
def test_a_run_that_is_ended_from_outside_is_on_the_list(
    end: signal.Signals, status: str, pegboard: Command, tmp_path: Path
) -> None:
    assert ended(tmp_path, end) != 0
    (run,) = listed(pegboard)
    assert (run["run"], run["name"], run["status"]) == (1, "waits", status)
    assert "waits" in pegboard("runs", "show", "1").stdout
    assert pegboard("runs", "report", "1").stdout.startswith("wrote run-1.html")


def test_an_empty_registry_has_no_runs_and_listing_them_makes_nothing(pegboard: Command, tmp_path: Path) -> None:
    assert "holds no runs yet; `pegboard train` makes one" in pegboard("runs", "list").stdout
    assert listed(pegboard) == []
    assert list(tmp_path.iterdir()) == []


def test_listing_runs_imports_nothing_heavy(trained: Command, tmp_path: Path) -> None:
    code = (
        "import sys; from pegboard.cli.main import cli\n"
        "cli(['runs', 'list'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "house-prices/1" in done.stdout
