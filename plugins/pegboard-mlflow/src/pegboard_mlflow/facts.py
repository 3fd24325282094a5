"""What a run's record says, as MLflow has it: texts for tags and parameters, numbers for metrics, milliseconds."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pegboard.runs.record import RunRecord
from pegboard_mlflow.connection import redacted

#: What the tag says that a run is found by: the same for the same record, whatever has become of its registry's place.
IDENTITY = "pegboard.id"
CANDIDATE = "pegboard.candidate"
VERSION = "pegboard.version"
DIGEST = "pegboard.digest"

#: MLflow's names for how a run has ended.
STATUSES = {"published": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def identity(run: RunRecord) -> str:
    """Return what tells a run from every other: a digest of its name, number, start and machine."""
    told = [run.name, run.number, run.started_at, run.environment.get("hostname")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def milliseconds(time: str) -> int:
    """Return a time in ISO 8601 as milliseconds since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def tags(run: RunRecord, registry: str) -> dict[str, str]:
    """Return the tags of a run; those that would be empty are left out."""
    git, error = run.environment.get("git") or {}, run.error or {}
    found = {
        IDENTITY: identity(run),
        "pegboard.registry": registry,
        "pegboard.run": str(run.number),
        "pegboard.status": run.status,
        "pegboard.model": run.model,
        VERSION: run.version,
        DIGEST: run.digest,
        "pegboard.error": ": ".join(error[key] for key in ("stage", "type", "message") if key in error),
        "mlflow.user": run.actor,
        "mlflow.source.name": "pegboard train",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit", ""),
        "pegboard.host": run.environment.get("hostname", ""),
    }
    return {key: redacted(value) for key, value in found.items() if value}


def parameters(run: RunRecord) -> dict[str, str]:
    """Return the experiment's settings, those of tables under names with dots in them."""
    return dict(_flat(run.experiment))


def candidate_parameters(candidate: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a candidate's estimator."""
    return dict(_flat(candidate.get("parameters", {})))


def metrics(run: RunRecord) -> dict[str, float]:
    """Return a run's numbers: the winner's mean and spread, the hold-out, rows, and seconds for each stage."""
    evaluation, data, winner = run.evaluation or {}, run.data or {}, run.winner or {}
    found = {
        run.scorer: winner.get("mean"),
        f"{run.scorer}.spread": winner.get("spread"),
        f"{run.scorer}.holdout": evaluation.get("score"),
        "rows": data.get("rows"),
        "rows.holdout": evaluation.get("rows"),
        "seconds": run.seconds,
        **{f"seconds.{stage}": seconds for stage, seconds in run.timings.items()},
    }
    return {key: float(value) for key, value in found.items() if value is not None}


def candidate_metrics(run: RunRecord, candidate: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Yield a candidate's numbers, each with its step: its score on each fold, their mean and spread, and its time."""
    for fold, score in enumerate(candidate["scores"]):
        yield f"{run.scorer}.fold", score, fold
    found = {run.scorer: candidate.get("mean"), f"{run.scorer}.spread": candidate.get("spread")}
    if candidate["error"] is None:
        found["fit_seconds"] = candidate["fit_seconds"]
    yield from ((key, float(value), 0) for key, value in found.items() if value is not None and math.isfinite(value))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            yield f"{prefix}{key}", redacted(text)
