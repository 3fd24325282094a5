"""What the MLflow server has after runs and promotions, read back through its own REST API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from pegboard.registry import Registry
from pegboard.runs.record import RunRecord

Train = Callable[..., RunRecord]


def artifact(server: Any, run: dict[str, Any], path: str) -> bytes:
    place = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    answer = requests.get(f"{server.uri}/api/2.0/mlflow-artifacts/artifacts/{place}/{path}", timeout=60)
    assert answer.ok, answer.text
    return answer.content


def milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def test_a_published_run_lands_whole(mlflow_server: Any, train: Train, tmp_path: Path) -> None:
    run = train(tmp_path / "registry", "whole")
    assert run.status == "published"
    parent, *nested = mlflow_server.runs("whole")
    info, tags, metrics = parent["info"], parent["tags"], parent["metrics"]
    assert (info["run_name"], info["status"]) == ("run 1", "FINISHED")
    assert (info["start_time"], info["end_time"]) == (milliseconds(run.started_at), milliseconds(run.finished_at))
    assert tags["pegboard.registry"] == str(tmp_path / "registry")
    assert tags["pegboard.run"] == "1"
    assert (tags["pegboard.version"], tags["pegboard.digest"]) == ("whole/1", run.digest)
    assert (tags["pegboard.status"], tags["pegboard.model"]) == ("published", "linear-regression")
    assert tags["mlflow.user"] == run.actor
    assert tags.get("mlflow.source.git.commit") == (run.environment["git"] or {}).get("commit")
    assert parent["params"]["folds"] == "3"
    assert parent["params"]["models"] == '["linear-regression", "broken"]'
    assert run.winner is not None
    assert run.evaluation is not None
    assert metrics["rmse"] == run.winner["mean"]
    assert metrics["rmse.spread"] == run.winner["spread"]
    assert (metrics["rmse.holdout"], metrics["rows.holdout"]) == (run.evaluation["score"], run.evaluation["rows"])
    assert metrics["rows"] == 120
    assert metrics["seconds.compare"] == run.timings["compare"]
    [data] = parent["inputs"]["dataset_inputs"]
    assert run.data is not None
    assert (data["dataset"]["name"], data["dataset"]["digest"]) == ("houses", run.data["fingerprint"][:36])
    assert {child["tags"]["mlflow.parentRunId"] for child in nested} == {info["run_id"]}
    assert [child["info"]["run_name"] for child in nested] == ["broken", "dummy-regressor", "linear-regression"]


def test_every_candidate_is_a_nested_run_with_its_folds(mlflow_server: Any, train: Train, tmp_path: Path) -> None:
    run = train(tmp_path / "registry", "nested")
    broken, _, linear = mlflow_server.runs("nested")[1:]
    row = next(c for c in run.candidates if c["name"] == "linear-regression")
    history = mlflow_server.get("metrics/get-history", run_id=linear["info"]["run_id"], metric_key="rmse.fold")
    assert [(m["step"], m["value"]) for m in history["metrics"]] == list(enumerate(row["scores"]))
    assert linear["info"]["status"] == "FINISHED"
    assert linear["metrics"]["rmse"] == row["mean"]
    assert linear["metrics"]["rmse.spread"] == row["spread"]
    assert linear["metrics"]["fit_seconds"] == row["fit_seconds"]
    assert linear["params"]["fit_intercept"] == "true"
    assert broken["info"]["status"] == "FAILED"
    assert "this model cannot be made" in broken["tags"]["pegboard.error"]
    assert broken["metrics"] == {}


def test_the_report_and_the_record_are_artifacts_and_hold_no_password(
    mlflow_server: Any, train: Train, tmp_path: Path
) -> None:
    train(tmp_path / "registry", "files", source_options={"password": "postgresql://reader:secret@db/x"})
    parent = mlflow_server.runs("files")[0]
    page, record = artifact(mlflow_server, parent, "report.html"), artifact(mlflow_server, parent, "run.json")
    assert b"linear-regression won" in page
    assert json.loads(record)["data"]["origin"] == "https://example.org/houses.csv"
    assert parent["params"]["source_options.password"] == "postgresql://db/x"
    for told in (page, record, json.dumps(parent).encode()):
        assert b"secret" not in told


def test_a_failed_run_is_failed_in_mlflow_and_registers_nothing(
    mlflow_server: Any, train: Train, tmp_path: Path
) -> None:
    run = train(tmp_path / "registry", "failed", models=("broken",))
    assert run.status == "failed"
    parent, *nested = mlflow_server.runs("failed")
    assert parent["info"]["status"] == "FAILED"
    assert run.error is not None
    assert run.error["message"] in parent["tags"]["pegboard.error"]
    assert "pegboard.version" not in parent["tags"]
    assert {child["info"]["run_name"]: child["info"]["status"] for child in nested} == {
        "broken": "FAILED",
        "dummy-regressor": "FINISHED",
    }
    assert mlflow_server.versions("failed") == []


def test_a_version_and_its_aliases_are_registered(
    mlflow_server: Any, train: Train, promote: Callable[..., None], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    first, second = train(tmp_path / "registry", "aliased"), train(tmp_path / "registry", "aliased", seed=1)
    newer, older = sorted(mlflow_server.versions("aliased"), key=lambda v: -int(v["version"]))
    assert (older["tags"]["pegboard.version"], older["tags"]["pegboard.digest"]) == ("aliased/1", first.digest)
    assert (newer["tags"]["pegboard.version"], newer["tags"]["pegboard.digest"]) == ("aliased/2", second.digest)
    assert older["run_id"] == next(
        r["info"]["run_id"] for r in mlflow_server.runs("aliased") if r["info"]["run_name"] == "run 1"
    )
    manifest = artifact(mlflow_server, {"info": {"artifact_uri": older["source"]}}, "bundle/manifest.json")
    assert manifest == registry.open(registry.resolve("aliased/1")).manifest_bytes()
    promote(registry, "aliased/1", "staging")
    promote(registry, "aliased/1", "production", {"passed": True, "champion": None})
    assert mlflow_server.aliases("aliased") == dict.fromkeys(("staging", "production", "champion"), older["version"])
    promote(registry, "aliased/2", "staging")
    assert mlflow_server.aliases("aliased") == {
        "staging": newer["version"],
        "production": older["version"],
        "champion": older["version"],
    }


def test_a_promotion_that_is_told_late_moves_no_alias_back(
    mlflow_server: Any, train: Train, promote: Callable[..., None], board: Any, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    for seed in range(2):
        train(tmp_path / "registry", "late", seed=seed)
    promote(registry, "late/1", "staging")
    early = registry.ledger.entries()[-1]
    promote(registry, "late/2", "staging")
    before = mlflow_server.aliases("late")
    board.manager.notify("after_promote", entry=early, registry=registry)
    assert mlflow_server.aliases("late") == before
    assert before == {"staging": mlflow_server.versions("late")[0]["version"]}


def test_a_version_that_came_without_a_run_is_registered_when_it_is_promoted(
    mlflow_server: Any, train: Train, promote: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    train(tmp_path / "registry", "imported")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    registry, other = Registry(tmp_path / "registry"), Registry(tmp_path / "other")
    other.take(registry.open(registry.resolve("imported")), {})
    for _ in range(2):
        promote(other, "imported/1", "staging")
    [version] = mlflow_server.versions("imported")
    assert mlflow_server.aliases("imported") == {"staging": version["version"]}
    [run] = mlflow_server.runs("imported")
    assert (run["info"]["run_name"], run["info"]["status"]) == ("import of imported/1", "FINISHED")


def test_telling_everything_again_makes_nothing_twice(
    mlflow_server: Any, train: Train, promote: Callable[..., None], tell: Callable[..., None], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    train(tmp_path / "registry", "twice")
    train(tmp_path / "registry", "twice", models=("broken",))
    promote(registry, "twice/1", "staging")
    before = mlflow_server.runs("twice"), mlflow_server.versions("twice"), mlflow_server.aliases("twice")
    tell(registry)
    assert (mlflow_server.runs("twice"), mlflow_server.versions("twice"), mlflow_server.aliases("twice")) == before
    assert len(before[0]) == 2 + 3 + 2


def test_the_same_numbers_of_two_registries_are_two_runs(mlflow_server: Any, train: Train, tmp_path: Path) -> None:
    for place in ("one", "two"):
        train(tmp_path / place, "shared")
    parents = [run for run in mlflow_server.runs("shared") if "pegboard.run" in run["tags"]]
    assert sorted(run["tags"]["pegboard.registry"] for run in parents) == [str(tmp_path / p) for p in ("one", "two")]


@pytest.mark.parametrize("status", ["FAILED", "RUNNING"])
def test_a_run_that_was_deleted_in_mlflow_stays_deleted(
    mlflow_server: Any, train: Train, tell: Callable[..., None], tmp_path: Path, status: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    name = f"deleted-{status.lower()}"
    train(tmp_path / "registry", name, models=("broken",))
    for run in mlflow_server.runs(name):
        mlflow_server.post("runs/update", run_id=run["info"]["run_id"], status=status)
        mlflow_server.post("runs/delete", run_id=run["info"]["run_id"])
    tell(Registry(tmp_path / "registry"))
    assert mlflow_server.runs(name) == []
    assert len(mlflow_server.runs(name, "DELETED_ONLY")) == 3
    assert [record.message for record in caplog.records if record.name == "pegboard"] == []


def test_without_a_tracking_server_nothing_is_written(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert train(tmp_path / "registry", "silent").status == "published"
    assert list((tmp_path / "here").iterdir()) == []
    assert [record.message for record in caplog.records if record.name == "pegboard"] == []
