"""The search itself: ask Optuna, fit, tell Optuna, until the budget is spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pegboard.tuning import Search, StopSearch, Trial, TrialFailed, Tuned, best_of
from pegboard_optuna import journal
from pegboard_optuna.pruning import FoldPruner
from pegboard_optuna.spaces import distributions

#: What is kept with a trial beside what Optuna keeps: its score on each fold, and why it has failed.
SCORES, ERROR = "scores", "error"


def tune(search: Search) -> Tuned:
    """Search within the budget, going on where the journal ends; raises :class:`pegboard_optuna.journal.JournalError`.

    What a trial tries depends on the seed, on its number and on the trials before it, and on nothing else: a search
    that was killed and goes on tries what it would have tried.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = journal.place(search.directory, search.model, search.identity)
    with journal.opened(file) as storage:
        with journal.checked(file):
            study = _study(search, storage)
            trials = list(_kept(study, search))
        resumed = len(trials)
        while search.budget.trials is None or len(trials) < search.budget.trials:
            try:
                trials.append(_Attempt(search, study, file, len(trials)).run())
            except StopSearch:
                break
            search.on_trial(trials[-1])
    best = best_of(trials, search.greater_is_better)
    return Tuned({} if best is None else best.params, tuple(trials), resumed)


def _study(search: Search, storage: BaseStorage) -> Study:
    """Return the search's study; a trial that was under way when a run was killed has ended there, and never counts."""
    study = optuna.create_study(
        storage=storage,
        study_name=search.identity,
        direction="maximize" if search.greater_is_better else "minimize",
        pruner=FoldPruner(),
        load_if_exists=True,
    )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
    return study


def _kept(study: Study, search: Search) -> Iterable[Trial]:
    """Return the trials that have ended, numbered anew without those that were interrupted."""
    ended = (t for t in study.get_trials(deepcopy=False) if t.state.is_finished())
    counted = (t for t in ended if t.state != TrialState.FAIL or ERROR in t.user_attrs)
    for number, kept in enumerate(counted):
        yield _trial(number, kept, search)


def _trial(number: int, kept: FrozenTrial, search: Search) -> Trial:
    """Read a trial; raises whatever if it is not one that was written here."""
    scores = tuple(map(float, kept.user_attrs[SCORES]))
    pruned, failed = kept.state == TrialState.PRUNED, kept.state == TrialState.FAIL
    whole = len(scores) < search.folds if pruned or failed else len(scores) == search.folds
    known = all(name in search.space and value in search.space[name] for name, value in kept.params.items())
    if not (whole and known and all(map(isfinite, scores))):
        raise ValueError(f"trial {kept.number} is not of this search")
    return Trial(number, dict(kept.params), scores, pruned, str(kept.user_attrs[ERROR]) if failed else None)


@dataclass(frozen=True)
class _Attempt:
    """Trial ``number`` of a search."""

    search: Search
    study: Study
    file: Path
    number: int

    def run(self) -> Trial:
        """Try what Optuna proposes; the first time the defaults."""
        with journal.writing(self.file):
            asked = self._ask()
        scores: list[float] = []

        def go_on(fold: int, score: float) -> bool:
            scores.append(score)
            with journal.writing(self.file):
                asked.report(fmean(scores), fold)
            return not asked.should_prune()

        try:
            self.search.evaluate(asked.params, go_on)
        except TrialFailed as error:
            return self._end(asked, TrialState.FAIL, scores, str(error))
        pruned = len(scores) < self.search.folds
        return self._end(asked, TrialState.PRUNED if pruned else TrialState.COMPLETE, scores)

    def _ask(self) -> optuna.Trial:
        known = distributions(self.search.space)
        if self.number:
            self.study.sampler = TPESampler(seed=_seed(self.search.seed, self.number))
            return self.study.ask(known)
        if not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):  # a killed run may have left it
            self.study.enqueue_trial(dict(self.search.defaults))
        return self.study.ask({name: known[name] for name in self.search.defaults})

    def _end(self, asked: optuna.Trial, state: TrialState, scores: list[float], error: str | None = None) -> Trial:
        with journal.writing(self.file):
            asked.set_user_attr(SCORES, scores)
            if error is not None:
                asked.set_user_attr(ERROR, error)
            self.study.tell(asked, fmean(scores) if state == TrialState.COMPLETE else None, state=state)
        params: dict[str, Any] = dict(asked.params)
        return Trial(self.number, params, tuple(scores), state == TrialState.PRUNED, error)


def _seed(seed: int, number: int) -> int:
    """Return a trial's own seed: the same whether the search was stopped before it or not."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
