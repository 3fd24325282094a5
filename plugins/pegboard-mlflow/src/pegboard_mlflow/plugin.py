"""The hooks: two observers that tell MLflow what has happened, and a resolver of names that start with ``models:/``.

MLflow itself is imported when there is something to do, and nothing is done unless ``MLFLOW_TRACKING_URI`` is set: a
plugin that is merely installed writes no ``./mlruns``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pegboard import ResolverSpec, hookimpl

if TYPE_CHECKING:
    from pegboard.ledger import Entry
    from pegboard.registry import Registry
    from pegboard.runs.record import RunRecord
    from pegboard.signing import Trust
    from pegboard.specs import Versions

PREFIX = "models:/"


def _wanted() -> bool:
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


@hookimpl
def after_run(run: RunRecord, registry: Registry) -> None:
    """Log a run with its candidates, and register the version that it has published."""
    if _wanted():
        from pegboard_mlflow.observe import observe_run

        observe_run(run, registry)


@hookimpl
def after_promote(entry: Entry, registry: Registry) -> None:
    """Point MLflow's aliases where the registry's point."""
    if _wanted():
        from pegboard_mlflow.observe import observe_promotion

        observe_promotion(entry, registry)


def _versions(_registry: str, trusted: Trust | None) -> Versions:
    from pegboard_mlflow.resolver import MlflowVersions

    return MlflowVersions(trusted)


@hookimpl
def register_resolvers() -> list[ResolverSpec]:
    """Versions by their names in MLflow: ``models:/house-prices@production``, ``models:/house-prices/3``."""
    return [
        ResolverSpec(name="mlflow", prefix=PREFIX, make=_versions, summary="versions by their names in MLflow"),
    ]
