"""Stage 4, where it is asked for: search the models' spaces on the folds that all compete on, within a budget."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from pegboard import provenance
from pegboard.errors import PluginError, blamed
from pegboard.specs import ScorerSpec, TunerSpec
from pegboard.training.candidate import Contender, tunable
from pegboard.training.fitting import Fit, Folds, Isolation, available_cpus, fitting
from pegboard.training.turns import Turns
from pegboard.training.values import Table
from pegboard.tuning import Budget, Search, Trial, TrialFailed, Tuned, Tuning

#: Where tuners keep their trials, from the working directory. Not in the registry: a bucket cannot be appended to, and
#: what counts is in the run's record.
DIRECTORY = Path(".pegboard", "tuning")

#: A trial of a model has ended, or a whole search has.
_Event = tuple[str, Trial] | Future[Tuning]


def tune(
    table: Table,
    folds: Folds,
    contenders: Sequence[Contender],
    scorer: ScorerSpec,
    tuner: TunerSpec,
    budget: Budget,
    *,
    origins: Mapping[str, str] | None = None,
    isolation: Isolation | None = None,
    workers: int | None = None,
    directory: Path = DIRECTORY,
    clock: Callable[[], float] = time.monotonic,
    on_trial: Callable[[str, Trial], None] = lambda *_: None,
) -> tuple[Tuning, ...]:
    """Search the space of every contender that has one, and return what was found for each, in their order.

    Searches go on side by side; the next fit is that of the model that has used the least time so far. So a budget of
    time, which is for all of them together, is shared evenly, and a budget of trials is nobody's affair but the
    model's. ``origins`` are the plugins of models, scorer and preprocessor, by name. ``on_trial(model, trial)`` is
    called from this thread. Raises what the tuner raises, as a :class:`PluginError` if it is none of ours.
    """
    competing = [c for c in contenders if tunable(c.model, c.params)]
    turns = Turns([c.name for c in competing], workers or available_cpus(), clock, budget.seconds)
    events: SimpleQueue[_Event] = SimpleQueue()
    common = {**_common(table, folds, scorer), "origins": dict(origins or {})}
    with (
        ThreadPoolExecutor(max(1, len(competing)), "search") as pool,
        # As many processes as searches, of which no more than there are workers fit at a time: otherwise a process
        # would end and another start each time when another model's turn comes.
        fitting(table, folds, scorer, isolation or Isolation(), len(competing)) as fit,
    ):
        try:
            futures = []
            for contender in competing:
                evaluate = _Evaluation(contender, len(folds), fit, turns)
                search = _search(evaluate, scorer, budget, directory, common, events)
                futures.append(pool.submit(_tuning, contender, search, tuner))
            return _followed(futures, events, on_trial)
        except BaseException:
            turns.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _followed(
    futures: Sequence[Future[Tuning]], events: SimpleQueue[_Event], on_trial: Callable[[str, Trial], None]
) -> tuple[Tuning, ...]:
    """Tell of each trial until all searches have ended; the first that fails ends all."""
    for future in futures:
        future.add_done_callback(events.put)
    left = len(futures)
    while left:
        event = events.get()
        if isinstance(event, Future):
            event.result()
            left -= 1
        else:
            on_trial(*event)
    return tuple(future.result() for future in futures)


@dataclass(frozen=True)
class _Evaluation:
    """One contender's folds, fitted with other parameters each time it is called."""

    contender: Contender
    folds: int
    fit: Fit
    turns: Turns

    def __call__(self, params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
        trial, scores = replace(self.contender, params={**self.contender.params, **params}), list[float]()
        for fold in range(self.folds):
            with self.turns.turn(trial.name):
                scored = self.fit(trial, fold)
            if scored.score is None:
                raise TrialFailed(scored.error)
            scores.append(scored.score)
            if not after_fold(fold, scored.score):
                break
        return tuple(scores)


def _search(
    evaluate: _Evaluation,
    scorer: ScorerSpec,
    budget: Budget,
    directory: Path,
    common: Mapping[str, Any],
    events: SimpleQueue[_Event],
) -> Search:
    contender = evaluate.contender
    space = tunable(contender.model, contender.params)
    return Search(
        model=contender.name,
        space=space,
        defaults=_defaults(contender),
        greater_is_better=scorer.greater_is_better,
        folds=evaluate.folds,
        seed=contender.seed,
        budget=budget,
        identity=_identity(contender, common),
        directory=directory,
        evaluate=evaluate,
        on_trial=lambda trial: events.put((contender.name, trial)),
    )


def _defaults(contender: Contender) -> Mapping[str, Any]:
    """Return the factory's own values of what is searched, those that lie in the space."""
    made_with = inspect.signature(contender.model.make).parameters
    space = tunable(contender.model, contender.params)
    defaults = {name: made_with[name].default for name in space if name in made_with}
    return {name: default for name, default in defaults.items() if default in space[name]}


def _tuning(contender: Contender, search: Search, tuner: TunerSpec) -> Tuning:
    with blamed(f"tuner {tuner.name!r}, asked to tune model {contender.name!r},"):
        found = tuner.tune(search)
    _check(found, search, tuner)
    space = {name: values.to_dict() for name, values in search.space.items()}
    return Tuning(
        contender.name,
        search.identity,
        search.greater_is_better,
        space,
        contender.params,
        found.params,
        found.trials,
        found.resumed,
    )


def _check(found: object, search: Search, tuner: TunerSpec) -> None:
    where = f"tuner {tuner.name!r}, asked to tune model {search.model!r},"
    if not isinstance(found, Tuned):
        raise PluginError(f"{where} gave {type(found).__name__}, not Tuned")
    for name, value in found.params.items():
        if name not in search.space or value not in search.space[name]:
            raise PluginError(f"{where} found {name} = {value!r}, which is not in the model's space")


def _common(table: Table, folds: Folds, scorer: ScorerSpec) -> dict[str, Any]:
    """Return what tells this experiment's trials from those of others, for all models."""
    positions = hashlib.sha256()
    for fit, score in folds:
        for rows in (fit, score):
            positions.update(f"{len(rows)}:".encode() + np.asarray(rows, dtype="<i8").tobytes())
    return {
        "data": table.fingerprint,
        "folds": positions.hexdigest(),
        "scorer": [scorer.name, scorer.greater_is_better],
        "libraries": provenance.libraries(),
    }


def _identity(contender: Contender, common: Mapping[str, Any]) -> str:
    space = tunable(contender.model, contender.params)
    names = (contender.name, common["scorer"][0], contender.preprocessor.name)
    told = {
        **common,
        "origins": [common["origins"].get(name) for name in names],
        "model": contender.name,
        "preprocessor": contender.preprocessor.name,
        "fixed": dict(contender.params),
        "space": {name: values.to_dict() for name, values in space.items()},
        "seed": contender.seed,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
