"""What the observers do: log a run, its candidates and its version, so that telling it again adds only what lacks.

A run is found by its tag, and its end is written last: one that has ended in MLflow is whole, or was changed there by
somebody who knows why. Everything before it can be said twice, since MLflow keeps a number once for each time and step.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegboard.errors import RegistryError
from pegboard.runs.record import RunRecord, Runs
from pegboard_mlflow import facts, models
from pegboard_mlflow.connection import Server, connected, redacted

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pegboard.ledger import Entry
    from pegboard.registry import Registry

REMEDY = "nothing is lost: `pegboard runs sync` tells it later"
#: More parameters than this MLflow does not take at once.
MOST_PARAMETERS = 100


def observe_run(run: RunRecord, registry: Registry) -> None:
    """Log a run that has ended; one that MLflow has whole is left alone, and so is one without a record of its end."""
    if run.status not in facts.STATUSES:
        return
    with connected(REMEDY) as server:
        _log(server, run, registry)


def observe_promotion(entry: Entry, registry: Registry) -> None:
    """Set MLflow's aliases of the version that ``entry`` names to what the ledger says now.

    So an entry that is told late moves no alias back.
    """
    aliases = sorted(
        alias
        for (name, alias), number in registry.ledger.state().aliases.items()
        if (name, number) == (entry.name, entry.version)
    )
    if not aliases:
        return
    with connected(REMEDY) as server:
        number = models.find(server, entry.name, entry.bundle) or _registered(server, entry, registry)
        models.add_signatures(server, registry, entry.name, number, registry.resolve(str(entry)))
        for alias in aliases:
            server.client.set_registered_model_alias(entry.name, alias, number)


def _registered(server: Server, entry: Entry, registry: Registry) -> str:
    """Register a version that MLflow has not: from its run, or by itself if it came here without one."""
    told = next((run for run in Runs(registry.store).list() if run.digest == entry.bundle), None)
    if told is not None:
        _log(server, told, registry)
        if (number := models.find(server, entry.name, entry.bundle)) is not None:
            return number
    version = registry.resolve(str(entry))
    tags = {facts.IDENTITY: f"import/{version.digest}", **models.tags(registry, version)}
    at = facts.milliseconds(version.published_at)
    bare = _run(server, _experiment(server, entry.name), tags, f"import of {version}", at)
    number = models.register(server, registry, version, bare)
    server.client.set_terminated(bare.info.run_id, end_time=at)
    return number


def _log(server: Server, run: RunRecord, registry: Registry) -> None:
    started, ended = facts.milliseconds(run.started_at), facts.milliseconds(run.finished_at)
    experiment, tags = _experiment(server, run.name), facts.tags(run, redacted(str(registry.store)))
    found = _run(server, experiment, tags, f"run {run.number}", started)
    if _is_over(found):
        return
    _numbers(server, found, facts.parameters(run), ((k, v, 0) for k, v in facts.metrics(run).items()), ended)
    _data(server, found, run)
    for candidate in run.candidates:
        _log_candidate(server, run, candidate, found, (started, ended))
    _files(server, found, run)
    published = next((v for v in registry.versions(run.name) if run.digest and v.digest == run.digest), None)
    if published is not None and models.find(server, published.name, published.digest) is None:
        models.register(server, registry, published, found)
    server.client.set_terminated(found.info.run_id, facts.STATUSES[run.status], ended)


def _log_candidate(
    server: Server, run: RunRecord, candidate: Mapping[str, Any], parent: Run, times: tuple[int, int]
) -> None:
    tags = {
        facts.IDENTITY: f"{facts.identity(run)}/{candidate['name']}",
        facts.CANDIDATE: candidate["name"],
        "mlflow.parentRunId": parent.info.run_id,
        "mlflow.user": run.actor,
    }
    if candidate["error"] is not None:
        tags["pegboard.error"] = redacted(candidate["error"])
    found = _run(server, parent.info.experiment_id, tags, candidate["name"], times[0])
    if _is_over(found):
        return
    told = facts.candidate_parameters(candidate)
    _numbers(server, found, told, facts.candidate_metrics(run, candidate), times[1])
    status = "FINISHED" if candidate["error"] is None else "FAILED"
    server.client.set_terminated(found.info.run_id, status, times[1])


def _run(server: Server, experiment: str, tags: Mapping[str, str], label: str, started: int) -> Run:
    """Return the run with that identity in an experiment, a deleted one too; create it if there is none."""
    from mlflow.entities import ViewType

    wanted = f"tags.`{facts.IDENTITY}` = '{tags[facts.IDENTITY]}'"
    there = server.client.search_runs([experiment], wanted, ViewType.ALL, max_results=1, order_by=["start_time ASC"])
    return there[0] if there else server.client.create_run(experiment, started, dict(tags), run_name=label)


def _is_over(run: Run) -> bool:
    """Whether a run is whole, or somebody has deleted it in MLflow, which is respected."""
    return run.info.status != "RUNNING" or run.info.lifecycle_stage == "deleted"


def _experiment(server: Server, name: str) -> str:
    found = server.client.get_experiment_by_name(name)
    if found is None:
        return str(server.client.create_experiment(name))
    if found.lifecycle_stage != "active":
        raise RegistryError(
            f"the experiment {name!r} is deleted in MLflow at {server.place}: restore it there; {REMEDY}"
        )
    return str(found.experiment_id)


def _numbers(
    server: Server, found: Run, parameters: Mapping[str, str], metrics: Iterable[tuple[str, float, int]], at: int
) -> None:
    from mlflow.entities import Metric, Param

    left = iter(Param(key, value) for key, value in parameters.items())
    while batch := list(islice(left, MOST_PARAMETERS)):
        server.client.log_batch(found.info.run_id, params=batch)
    server.client.log_batch(found.info.run_id, [Metric(key, value, at, step) for key, value, step in metrics])


def _data(server: Server, found: Run, run: RunRecord) -> None:
    """Log the table that was trained on, by its fingerprint."""
    from mlflow.entities import Dataset, DatasetInput

    if run.data is None or run.data["fingerprint"] is None:
        return
    table = Dataset(
        name=run.experiment["source"],
        digest=run.data["fingerprint"][:36],  # MLflow takes no more
        source_type="pegboard",
        source=json.dumps({"origin": redacted(run.data["origin"])}),
        profile=json.dumps({"num_rows": run.data["rows"]}),
    )
    server.client.log_inputs(found.info.run_id, [DatasetInput(table, [])])


def _files(server: Server, found: Run, run: RunRecord) -> None:
    """Log the record, and the report where what it needs is installed."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "run.json").write_text(redacted(run.to_bytes().decode()), encoding="utf-8")
        if (page := _report(run)) is not None:
            (Path(name) / "report.html").write_bytes(redacted(page).encode(errors="xmlcharrefreplace"))
        with server.patience():
            server.client.log_artifacts(found.info.run_id, name)


def _report(run: RunRecord) -> str | None:
    try:
        from pegboard.runs.report import render
    except ImportError:  # the extra `train` is not here, as on a machine that only syncs
        return None
    return render(run)
