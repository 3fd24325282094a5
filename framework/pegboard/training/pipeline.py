"""The order of the stages, on one screen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import BundleError, ConfigError, ValidationFailed
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.learning import learn_signature
from pegboard.manager import Manager
from pegboard.registry import Registry, Version
from pegboard.report import ValidationReport
from pegboard.runs.recorder import Recorder
from pegboard.signature import Signature
from pegboard.signing import load_private
from pegboard.specs import ScorerSpec, SourceSpec
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.evaluate import evaluate, refit
from pegboard.training.fitting import Isolation
from pegboard.training.plan import Plan, make_plan
from pegboard.training.publish import Trained, publish
from pegboard.training.select import select
from pegboard.training.source import load
from pegboard.training.split import split
from pegboard.training.tune import tune
from pegboard.training.validate import validate
from pegboard.training.values import Evaluation, Split, Table, Winner
from pegboard.tuning import Budget, Trial, Tuning

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("pegboard")


class Listener:
    """Told how a run goes on; this one does not care. Called from the thread that runs it."""

    def stage(self, name: str, detail: str) -> None:
        """Note that a stage begins."""

    def trial(self, model: str, trial: Trial, greater_is_better: bool) -> None:
        """Note that one set of a model's parameters was tried; ``greater_is_better`` is the scorer's."""

    def tuned(self, tunings: Sequence[Tuning]) -> None:
        """Note what tuning has come to."""

    def fold(self, candidate: str, done: int, total: int) -> None:
        """Note that one of all candidates' folds is done."""


@dataclass(frozen=True)
class Run:
    """What a run came to; ``number`` is that of its record."""

    number: int
    report: ValidationReport
    leaderboard: Leaderboard
    winner: Winner
    version: Version

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for ``--json``."""
        winner = self.winner
        return {
            "run": self.number,
            "version": str(self.version),
            "digest": self.version.digest,
            "model": winner.candidate.name,
            "holdout": {"score": winner.holdout_score, "rows": winner.holdout_rows},
            "beats_baseline": self.leaderboard.beats_baseline(winner.candidate),
            "leaderboard": self.leaderboard.to_dict(),
            "validation": self.report.to_dict(),
        }


def run(experiment: Experiment, manager: Manager, catalog: Catalog, listener: Listener | None = None) -> Run:
    """Run one experiment from its source to a published version, and leave a record however it ends.

    Raises :class:`~pegboard.errors.PegboardError`; nothing is published then. Names that are wrong are no run yet.
    """
    plan, registry = make_plan(experiment, catalog), Registry(experiment.registry)
    # Now, and not when hours of fitting are to be published.
    registry.store.check_writable()
    if experiment.signing_key:
        load_private(experiment.signing_key)
    with Recorder(experiment, registry, manager) as recorder:
        return _run(plan, registry, _Announcer(experiment.name, manager, listener or Listener(), recorder))


def _run(plan: Plan, registry: Registry, tell: _Announcer) -> Run:
    experiment = plan.experiment
    previous, champion = _previous(registry, experiment.name, plan.source)

    tell.stage("source", f"{plan.source.name}, for run {tell.recorder.number}")
    frame = load(plan.source, plan.source_options)
    tell.loaded(frame)

    tell.stage("validate", f"{len(frame):,} rows")
    signature = learn_signature(frame, plan.source)
    tell.learned(frame, signature)
    report = validate(frame, plan.source, signature, previous)
    tell.validated(report)
    refuse_invalid(report, plan.source.name)
    table = Table.of(frame, signature)
    tell.tabled(table)

    tell.stage("split", f"{experiment.folds} folds, {experiment.holdout:.0%} held out")
    parts = split(table, plan.splitter, folds=experiment.folds, holdout=experiment.holdout, seed=experiment.seed)

    isolation = Isolation(experiment.isolation, experiment.fit_timeout)
    contenders = _tuned(plan, plan.contenders(signature), table, parts, isolation, tell)
    tell.comparing(contenders, plan.scorer)
    board = compare(
        table,
        parts.folds,
        contenders,
        plan.scorer,
        isolation=isolation,
        on_fold=tell.fold,
        on_candidate=tell.candidate,
    )
    tell.compared(board)

    tell.stage("select", f"by {plan.criterion.name}")
    candidate = select(board, plan.criterion, champion)
    tell.selected(candidate)

    tell.stage("evaluate", f"{candidate.name} on {len(parts.holdout):,} rows held out, then refit on all")
    contender = next(c for c in contenders if c.name == candidate.name)
    evaluation = evaluate(contender, table, parts, plan.scorer)
    tell.evaluated(evaluation)
    winner = Winner(candidate, refit(contender, table), evaluation.score, evaluation.rows)

    tell.stage("publish", f"{candidate.name} as {experiment.name}")
    recipe = _with_parameters(experiment, contenders)
    version = publish(Trained(recipe, table, report, board, winner, tell.manager.plugins), registry)
    tell.published(version)
    return Run(tell.recorder.number, report, board, winner, version)


def _tuned(
    plan: Plan, contenders: Sequence[Contender], table: Table, parts: Split, isolation: Isolation, tell: _Announcer
) -> Sequence[Contender]:
    """Return the contenders as tuning leaves them: as they are, where none is asked for."""
    if plan.tuner is None:
        return contenders
    experiment = plan.experiment
    tell.tuning(plan.scorer, plan.tuner.name, experiment.tune)
    tunings = tune(
        table,
        parts.folds,
        contenders,
        plan.scorer,
        plan.tuner,
        Budget.parse(experiment.tune),
        origins=plan.origins,
        isolation=isolation,
        on_trial=lambda model, trial: tell.listener.trial(model, trial, plan.scorer.greater_is_better),
    )
    tell.tuned(tunings)
    found = {tuning.model: tuning for tuning in tunings}
    return [c.after(found[c.name]) if c.name in found else c for c in contenders]


def _with_parameters(experiment: Experiment, contenders: Sequence[Contender]) -> Experiment:
    """Return the experiment with the parameters that were found: what it takes to make the same model again."""
    found = {contender.name: contender.params for contender in contenders if contender.tuned}
    return replace(experiment, model_params={**experiment.model_params, **found})


@dataclass(frozen=True)
class _Announcer:
    """Tells the listener, the recorder and the plugins' observers what happens."""

    experiment: str
    manager: Manager
    listener: Listener
    recorder: Recorder

    def stage(self, name: str, detail: str) -> None:
        self.recorder.stage(name)
        self.listener.stage(name, detail)

    def loaded(self, frame: pd.DataFrame) -> None:
        self.recorder.loaded(frame)
        self.manager.notify("after_load", experiment=self.experiment, frame=frame.copy(deep=False))  # copy-on-write

    def learned(self, frame: pd.DataFrame, signature: Signature) -> None:
        self.recorder.learned(frame, signature)

    def validated(self, report: ValidationReport) -> None:
        self.recorder.validated(report)
        self.manager.notify("after_validate", experiment=self.experiment, report=report)

    def tabled(self, table: Table) -> None:
        self.recorder.tabled(table.fingerprint)

    def tuning(self, scorer: ScorerSpec, tuner: str, budget: str) -> None:
        self.stage("tune", f"by {scorer.name}, with {tuner}: {budget}{' trials each' * budget.isdigit()}")
        self.recorder.measuring(scorer.name, scorer.greater_is_better)

    def tuned(self, tunings: Sequence[Tuning]) -> None:
        self.recorder.tuned(tunings)
        self.listener.tuned(tunings)

    def comparing(self, contenders: Sequence[Contender], scorer: ScorerSpec) -> None:
        self.stage("compare", f"{len(contenders)} candidates by {scorer.name}")
        self.recorder.measuring(scorer.name, scorer.greater_is_better)
        self.recorder.comparing(contenders)

    def fold(self, candidate: str, done: int, total: int) -> None:
        self.listener.fold(candidate, done, total)

    def candidate(self, candidate: Candidate) -> None:
        self.recorder.candidate(candidate)
        self.manager.notify("after_candidate", experiment=self.experiment, candidate=candidate)

    def compared(self, board: Leaderboard) -> None:
        self.manager.notify("after_compare", experiment=self.experiment, leaderboard=board)

    def selected(self, candidate: Candidate) -> None:
        self.recorder.selected(candidate)

    def evaluated(self, evaluation: Evaluation) -> None:
        self.recorder.evaluated(evaluation)

    def published(self, version: Version) -> None:
        self.recorder.published(version)
        self.manager.notify("after_publish", experiment=self.experiment, version=version)


def refuse_invalid(report: ValidationReport, source: str) -> None:
    """Raise :class:`ValidationFailed` if a critical expectation does not hold."""
    if not report.success:
        critical = [str(f) for f in report.failed if f.severity == "critical"]
        count = f"{len(critical)} critical expectation{'s' * (len(critical) != 1)}"
        raise ValidationFailed(
            f"the data of source {source!r} breaks {count}, so nothing was trained:\n  " + "\n  ".join(critical),
            report,
        )


def _previous(registry: Registry, name: str, source: SourceSpec) -> tuple[tuple[str, Signature] | None, str | None]:
    """Return the version to compare the data with, and its model's name; none of both for a first run."""
    version = registry.champion(name)
    if version is None:
        return None, None
    try:
        bundle = registry.open(version)
    except BundleError as error:
        logger.warning("%s is damaged, so this run is not compared with it: %s", version, error)
        return None, None
    signature = bundle.signature
    if (signature.task, signature.target) != (source.task, source.target):
        theirs, ours = f"{signature.task} of {signature.target!r}", f"{source.task} of {source.target!r}"
        raise ConfigError(f"{version} is a {theirs}, and this is a {ours}: give this experiment another --name")
    return (str(version), signature), bundle.model
