"""A run leaves a record, however it ends."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from pegboard import ModelSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import ConfigError, DataError, PluginError, RegistryError, TrainingError, ValidationFailed
from pegboard.manager import Manager
from pegboard.registry import Registry
from pegboard.runs.record import RunRecord, Runs
from pegboard.stores import Store, open_store
from pegboard.training.pipeline import Run, run

Board = tuple[Manager, Catalog]
MODELS = ("linear-regression", "svr")


def lines(rows: int = 60, **columns: Any) -> pd.DataFrame:
    x = np.arange(rows, dtype=float)
    return pd.DataFrame({"Id": range(rows), "x": x, "y": 3 * x + np.sin(x)}).assign(**columns)


def source(load: Callable[[], pd.DataFrame] = lines, **more: Any) -> SourceSpec:
    return SourceSpec(name="table", task="regression", target="y", load=load, keys=("Id",), **more)


def train(board: Board, registry: Path, **settings: Any) -> Run:
    defaults: dict[str, Any] = {"name": "lines", "source": "table", "models": MODELS}
    return run(Experiment(**{**defaults, "registry": str(registry), **settings}), *board)


def recorded(registry: Path, number: int = 1) -> RunRecord:
    return Runs(Registry(str(registry)).store).get(number)


def begin(store: Store, name: str = "lines") -> RunRecord:
    return Runs(store).start(name, actor="ops", experiment={"name": name}, environment={"python": "3.11"})


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "r") if request.param == "file" else request.getfixturevalue("bucket"))


def test_a_published_run_leaves_all_that_is_known_of_it(board_with: Callable[..., Board], tmp_path: Path) -> None:
    frame = lines(z=[None, "a", "b"] * 20, unused=1)
    frame.attrs["origin"] = "a cellar"
    features = {"x": "number", "z": "category"}
    board = board_with(register_sources=[source(lambda: frame, features=features)])
    done = train(board, tmp_path / "r", model_params={"svr": {"C": 7.5}})
    record = recorded(tmp_path / "r")
    assert (record.number, record.status, record.name, record.model) == (1, "published", "lines", "linear-regression")
    assert (record.version, record.digest) == ("lines/1", done.version.digest)
    assert record.error is None
    assert record.leaderboard == done.leaderboard
    assert record.parameters["svr"]["regressor__C"] == 7.5
    assert record.parameters["linear-regression"]["fit_intercept"] is True
    manifest = Registry(str(tmp_path / "r")).open(done.version).manifest
    assert record.data is not None
    assert record.data["fingerprint"] == manifest["data"]["fingerprint"]
    assert (record.data["rows"], record.data["origin"]) == (60, "a cellar")
    assert record.data["signature"] == manifest["signature"]
    assert record.data["schema"]["z"] == {"kind": "category", "missing": 20, "role": "feature"}
    assert [column["role"] for column in record.data["schema"].values()] == [
        "key",
        "feature",
        "target",
        "feature",
        None,
    ]
    assert record.evaluation is not None
    assert record.evaluation["score"] == done.winner.holdout_score
    assert record.evaluation["rows"] == done.winner.holdout_rows
    assert record.validation == json.loads(json.dumps(done.report.to_dict()))
    assert [*record.timings][1:] == ["source", "validate", "split", "compare", "select", "evaluate", "publish"]
    assert all(took >= 0 for took in record.timings.values())
    assert record.environment["libraries"] == manifest["libraries"]
    assert record.environment["plugins"] == manifest["plugins"]
    assert record.environment["git"] == manifest["git"]
    assert record.experiment["model_params"] == {"svr": {"C": 7.5}}
    assert record.started_at < record.finished_at


def test_refused_data_leaves_the_data_and_what_was_found(board_with: Callable[..., Board], tmp_path: Path) -> None:
    rule = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "max_value": 57}}
    board = board_with(register_sources=[source(expectations=[rule])])
    with pytest.raises(ValidationFailed) as failure:
        train(board, tmp_path / "r")
    record = recorded(tmp_path / "r")
    assert (record.status, record.candidates, record.version) == ("failed", (), "")
    assert record.error == {"stage": "validate", "type": "ValidationFailed", "message": str(failure.value)}
    assert record.validation is not None
    assert record.data is not None
    assert record.validation["success"] is False
    good = board_with(register_sources=[source()])
    train(good, tmp_path / "r")
    assert record.data["fingerprint"] == recorded(tmp_path / "r", 2).data["fingerprint"]  # type: ignore[index]


def test_a_table_that_does_not_fit_its_signature_has_no_fingerprint(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    board = board_with(register_sources=[source(lambda: lines(x="many"), features={"x": "number"})])
    with pytest.raises(DataError):
        train(board, tmp_path / "r")
    record = recorded(tmp_path / "r")
    assert record.data is not None
    assert (record.data["rows"], record.data["fingerprint"]) == (60, None)


def test_a_source_that_fails_leaves_a_record_without_data(board_with: Callable[..., Board], tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(board_with(register_sources=[source(lambda: 1 / 0)]), tmp_path / "r")
    record = recorded(tmp_path / "r")
    assert (record.status, record.data) == ("failed", None)
    assert record.error is not None
    assert record.error["stage"] == "source"
    assert "division by zero" in record.error["message"]


class Breaks(Ridge):  # type: ignore[misc]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        raise RuntimeError("broke")


def test_a_comparison_that_nobody_survives_is_recorded_with_each_failure(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    broken = [ModelSpec(name=n, task="regression", make=Breaks, baseline=n == "two") for n in ("one", "two")]
    board = board_with(register_sources=[source()], register_models=broken)
    board[1].baselines = lambda task: []  # type: ignore[method-assign, assignment]
    with pytest.raises(TrainingError, match="no candidate finished"):
        train(board, tmp_path / "r", models=("one", "two"))
    record = recorded(tmp_path / "r")
    assert {c["name"]: c["error"] for c in record.candidates} == dict.fromkeys(
        ("one", "two"), "fold 1: RuntimeError: broke"
    )
    assert record.parameters["one"]["alpha"] == 1.0
    assert record.evaluation is None


def test_ctrl_c_leaves_what_was_known(board_with: Callable[..., Board], tmp_path: Path) -> None:
    def press(candidate: Any) -> None:
        raise KeyboardInterrupt

    board = board_with(register_sources=[source()], after_candidate=press)
    with pytest.raises(KeyboardInterrupt):
        train(board, tmp_path / "r")
    record = recorded(tmp_path / "r")
    assert (record.status, len(record.candidates)) == ("interrupted", 1)
    assert record.error == {"stage": "compare", "type": "KeyboardInterrupt", "message": ""}


def test_a_name_that_is_wrong_is_no_run(board_with: Callable[..., Board], tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no model named 'srv'"):
        train(board_with(register_sources=[source()]), tmp_path / "r", models=("srv",))
    assert not (tmp_path / "r").exists()


def test_a_name_of_another_task_is_a_failed_run(board_with: Callable[..., Board], tmp_path: Path) -> None:
    train(board_with(register_sources=[source()]), tmp_path / "r")
    other = SourceSpec(name="table", task="regression", target="x", load=lines)
    with pytest.raises(ConfigError):
        train(board_with(register_sources=[other]), tmp_path / "r")
    assert [(r.number, r.status) for r in Runs(open_store(tmp_path / "r")).list()] == [(2, "failed"), (1, "published")]


def test_observers_are_told_of_every_end_and_cannot_change_it(
    board_with: Callable[..., Board], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    def after_run(run: RunRecord, registry: Registry) -> None:
        told.append((run.number, run.status, run == Runs(registry.store).get(run.number)))
        raise RuntimeError("the tracker is away")

    train(board_with(register_sources=[source()], after_run=after_run), tmp_path / "r")
    failing = board_with(register_sources=[source(lambda: 1 / 0)], after_run=after_run)
    with pytest.raises(DataError):
        train(failing, tmp_path / "r")
    assert told == [(1, "published", True), (2, "failed", True)]
    assert caplog.text.count("failed in after_run: RuntimeError: the tracker is away") == 2


def test_a_record_that_cannot_be_written_does_not_hide_the_error(
    board_with: Callable[..., Board], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> pd.DataFrame:
        shutil.rmtree(tmp_path / "r" / ".partial")
        (tmp_path / "r" / ".partial").write_text("in the way")
        raise ZeroDivisionError("the first error")

    with caplog.at_level(logging.WARNING, logger="pegboard"), pytest.raises(DataError, match="the first error"):
        train(board_with(register_sources=[source(load)]), tmp_path / "r")
    assert "run 1 is not recorded: cannot write to the registry" in caplog.text
    assert recorded(tmp_path / "r").status == "unfinished"


def test_runs_are_numbered_once_by_any_number_of_writers(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = [run.number for run in pool.map(lambda _: begin(store), range(24))]
    assert sorted(numbers) == list(range(1, 25))
    assert [run.number for run in Runs(store).list()] == list(range(24, 0, -1))


def test_a_run_is_unfinished_until_it_is_finished_and_then_for_good(store: Store) -> None:
    begun = begin(store)
    assert Runs(store).get(1) == begun
    assert (begun.status, begun.actor, begun.finished_at) == ("unfinished", "ops", "")
    ended = replace(begun, status="failed", finished_at="2026-11-23T20:00:00.000+00:00")
    Runs(store).finish(ended)
    assert Runs(store).get(1) == ended
    with pytest.raises(RegistryError, match="run 1 is recorded already"):
        Runs(store).finish(replace(ended, status="published"))
    assert Runs(store).get(1).status == "failed"


@pytest.mark.parametrize("number", [0, -1, 2, 10**9])
def test_a_run_that_is_not_there_is_an_error_with_the_remedy(number: int, tmp_path: Path) -> None:
    begin(open_store(tmp_path))
    with pytest.raises(RegistryError, match=rf"holds no run {number}; `pegboard runs list` shows those"):
        Runs(open_store(tmp_path)).get(number)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format": 1, "number": 1, "status": "published", "candidates": []}',
        b'{"format": 1, "number": 2, "status": "failed", "started_at": "2026-11-23", "candidates": []}',
        b'{"format": 1, "number": 1, "status": "odd", "started_at": "2026-11-23", "candidates": []}',
        b'{"format": 1, "number": 1, "status": "failed", "started_at": "2026-11-23", "candidates": [{}]}',
        b'{"format": 1, "number": 1, "status": "failed", "started_at": "2026-11-23", "candidates": [], "data": 3}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_is_shown_as_damaged_and_hides_no_other(content: bytes, tmp_path: Path) -> None:
    first, second = begin(open_store(tmp_path)), begin(open_store(tmp_path))
    (tmp_path / "runs" / "00000001" / "finished.json").write_bytes(content)
    listed = list(Runs(open_store(tmp_path)).list())
    assert listed == [second, RunRecord(number=first.number, status="damaged")]
    with pytest.raises(RegistryError, match=r"runs/00000001/finished.json is not .*; restore it from a copy"):
        Runs(open_store(tmp_path)).get(1)


def test_a_record_of_a_later_format_says_so(tmp_path: Path) -> None:
    begun = begin(open_store(tmp_path))
    (tmp_path / "runs" / "00000001" / "finished.json").write_bytes(replace(begun, format=2).to_bytes())
    with pytest.raises(RegistryError, match="has format 2; this Pegboard reads format 1: upgrade"):
        Runs(open_store(tmp_path)).get(1)


def test_what_else_lies_among_the_runs_is_none(tmp_path: Path) -> None:
    begun = begin(open_store(tmp_path))
    (tmp_path / "runs" / "00000007").mkdir()  # a kill before the first mark was there
    (tmp_path / "runs" / ".DS_Store").touch()
    assert list(Runs(open_store(tmp_path)).list()) == [begun]
    assert begin(open_store(tmp_path)).number == 8
