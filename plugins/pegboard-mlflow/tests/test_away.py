"""The MLflow server being away, or going away at any moment, costs no run and loses nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pegboard.registry import Registry
from pegboard.runs.record import RunRecord, Runs

Train = Callable[..., RunRecord]
Failing = Callable[..., AbstractContextManager[Any]]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pegboard"]


def state(server: Any, name: str) -> tuple[Any, ...]:
    """Return what may not come twice: each run's name, status and parameters, and each version's digest."""
    runs = [(r["info"]["run_name"], r["info"]["status"], r["params"], r["metrics"]) for r in server.runs(name)]
    return runs, [v["tags"]["pegboard.digest"] for v in server.versions(name)]


def test_a_run_succeeds_without_the_server_and_sync_tells_of_it_once(
    mlflow_server: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@{address}")
        run = train(tmp_path / "registry", "away")
    assert run.status == "published"
    [warning] = warnings(caplog)
    assert f"the MLflow server at http://{address} does not answer" in warning
    assert "`pegboard runs sync`" in warning
    assert "secret" not in warning
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    assert mlflow_server.runs("away") == []
    for _ in range(2):
        told = _pegboard("runs", "sync", "--registry", tmp_path / "registry")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("told the plugins of 1 run")
    assert [r["info"]["run_name"] for r in mlflow_server.runs("away")] == [
        "run 1", "broken", "dummy-regressor", "linear-regression",
    ]  # fmt: skip
    assert [v["tags"]["pegboard.digest"] for v in mlflow_server.versions("away")] == [run.digest]


def test_a_server_that_accepts_and_never_answers_is_given_up(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        assert train(tmp_path / "registry", "hanging").status == "published"
    [warning] = warnings(caplog)
    assert "does not answer" in warning
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.mark.slow
def test_whichever_answer_is_lost_what_lacks_is_added_and_nothing_comes_twice(
    mlflow_server: Any, train: Train, board: Any, failing: Failing, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    run, registry = train(tmp_path / "registry", "cut", models=("linear-regression",)), Registry(tmp_path / "registry")
    whole = state(mlflow_server, "cut")
    assert len(whole[0]) == 3
    with failing(mlflow_server.uri) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        last, answered = 0, False
        while not answered:
            last += 1
            _forget(mlflow_server, "cut")
            # Another start makes another run of it, which MLflow has not seen.
            later = datetime.fromisoformat(run.started_at) + timedelta(seconds=last)
            again = replace(run, started_at=later.isoformat(timespec="milliseconds"))
            caplog.clear()
            proxy.count, proxy.last = 0, last
            board.manager.notify("after_run", run=again, registry=registry)
            answered = proxy.count < last
            assert len(warnings(caplog)) == (not answered), f"request {last}: {warnings(caplog)}"
            proxy.last = 1_000_000
            board.manager.notify("after_run", run=again, registry=registry)
            assert state(mlflow_server, "cut") == whole, f"after the answer to request {last} was lost"
    assert last > 20


def _forget(server: Any, name: str) -> None:
    for run in server.runs(name):
        server.post("runs/delete", run_id=run["info"]["run_id"])
    requests.delete(f"{server.uri}/api/2.0/mlflow/registered-models/delete", json={"name": name}, timeout=60)


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_gets_the_rest_later(
    mlflow_server: Any, train: Train, tell: Callable[..., None], failing: Failing, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with failing(mlflow_server.uri, 10, mlflow_server.kill) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        run = train(tmp_path / "registry", "killed")
    mlflow_server.start()
    assert run.status == "published"
    assert len(warnings(caplog)) == 1
    before = [(r["info"]["run_name"], r["info"]["status"]) for r in mlflow_server.runs("killed")]
    assert ("run 1", "RUNNING") in before
    assert len(before) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    tell(Registry(tmp_path / "registry"))
    assert {(r["info"]["run_name"], r["info"]["status"]) for r in mlflow_server.runs("killed")} == {
        ("run 1", "FINISHED"), ("broken", "FAILED"), ("dummy-regressor", "FINISHED"), ("linear-regression", "FINISHED"),
    }  # fmt: skip
    assert len(mlflow_server.runs("killed")) == 4
    assert len(mlflow_server.versions("killed")) == 1


def test_a_run_whose_end_is_not_recorded_is_left_alone(
    mlflow_server: Any, board: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tmp_path / "registry")
    begun = Runs(registry.store).start("begun", actor="me", experiment={}, environment={})
    board.manager.notify("after_run", run=begun, registry=registry)
    assert mlflow_server.runs("begun") == []
    assert warnings(caplog) == []


def _pegboard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pegboard", *map(str, arguments)]
    environ = {**os.environ, "PEGBOARD_LOAD_PLUGINS": "mlflow,sklearn"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)
