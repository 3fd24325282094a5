"""Every hook there is: the whole extension surface, on one page.

A plugin is a module that an entry point in the group ``pegboard`` names. It implements any of these functions,
marked with ``@pegboard.hookimpl``. There are two kinds of hooks and no third:

*Registrations* return a list of specs. Each thing has a name, and is used because an experiment names it;
installing a plugin changes no choice, with two exceptions. One is the point of Pegboard: an experiment that names
no models lets every registered model of its task compete. The other changes no answer: a kernel is used for the
estimators that it is registered for.

*Observers* are told what has happened and return nothing. One that raises is reported by name and changes nothing.
A tracker is nothing but a set of observers.

An implementation may leave out arguments that it does not need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import pandas as pd

    from pegboard.leaderboard import Candidate, Leaderboard
    from pegboard.ledger import Entry
    from pegboard.registry import Registry, Version
    from pegboard.report import ValidationReport
    from pegboard.runs.record import RunRecord
    from pegboard.specs import (
        CommandSpec,
        CriterionSpec,
        KernelSpec,
        ModelSpec,
        PreprocessorSpec,
        ResolverSpec,
        RuleSpec,
        ScorerSpec,
        SourceSpec,
        SplitterSpec,
        TunerSpec,
    )

PROJECT = "pegboard"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# --- registrations -----------------------------------------------------------------------------------------------


@hookspec
def register_sources() -> Iterable[SourceSpec]:  # type: ignore[empty-body]
    """Tables to train on; an experiment's ``source`` names one."""


@hookspec
def register_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """Candidates; all of an experiment's task compete unless its ``models`` names some."""


@hookspec
def register_scorers() -> Iterable[ScorerSpec]:  # type: ignore[empty-body]
    """Measures; an experiment's ``scorer`` names one. scikit-learn's own scorer names always work."""


@hookspec
def register_preprocessors() -> Iterable[PreprocessorSpec]:  # type: ignore[empty-body]
    """Preprocessings; an experiment's ``preprocessor`` names one (``tabular`` is built in)."""


@hookspec
def register_splitters() -> Iterable[SplitterSpec]:  # type: ignore[empty-body]
    """Ways to cut folds; an experiment's ``splitter`` names one (``k-fold`` is built in)."""


@hookspec
def register_criteria() -> Iterable[CriterionSpec]:  # type: ignore[empty-body]
    """Rules to choose a winner; an experiment's ``criterion`` names one (``best-mean`` is built in)."""


@hookspec
def register_tuners() -> Iterable[TunerSpec]:  # type: ignore[empty-body]
    """Ways to search the models' spaces; an experiment's ``tuner`` names one, and ``tune`` gives it a budget."""


@hookspec
def register_kernels() -> Iterable[KernelSpec]:  # type: ignore[empty-body]
    """Compiled predictors by class of estimator; one that agrees with its pipeline serves in the pipeline's place."""


@hookspec
def register_rules() -> Iterable[RuleSpec]:  # type: ignore[empty-body]
    """Rules of a promotion's gate; an environment's ``rules`` name them."""


@hookspec
def register_resolvers() -> Iterable[ResolverSpec]:  # type: ignore[empty-body]
    """Other places where a served version can be named, by the start of such names (``models:/`` for MLflow).

    Built in are ``bundle:`` (a bundle's directory) and ``s3://`` (location and name of a version in a bucket).
    """


@hookspec
def register_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Subcommands of ``pegboard``, imported only when they are called."""


# --- observers ---------------------------------------------------------------------------------------------------


@hookspec
def after_load(experiment: str, frame: pd.DataFrame) -> None:
    """A source has delivered its table; ``frame`` is a copy, and changing it changes nothing."""


@hookspec
def after_validate(experiment: str, report: ValidationReport) -> None:
    """Great Expectations has run; also called for a report that stops the run."""


@hookspec
def after_candidate(experiment: str, candidate: Candidate) -> None:
    """One candidate has finished its last fold, or has failed; the comparison waits until this returns."""


@hookspec
def after_compare(experiment: str, leaderboard: Leaderboard) -> None:
    """Every candidate has been compared."""


@hookspec
def after_publish(experiment: str, version: Version) -> None:
    """A new version exists in the registry."""


@hookspec
def after_run(run: RunRecord, registry: Registry) -> None:
    """A run has ended, well or not, and its record is written; ``pegboard runs sync`` tells it again.

    So whoever keeps track of runs elsewhere does nothing for a run that is there already.
    """


@hookspec
def after_promote(entry: Entry, registry: Registry) -> None:
    """An alias points at another version: ``entry`` is what the ledger says of the promotion, or of the way back."""
