"""What a tuner is given, and what it gives back. How it searches is its own affair; nothing here knows a library."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from pegboard.errors import ConfigError
from pegboard.space import Range

_SECONDS = (3600, 60, 1)
_DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_TRIALS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend: a number of trials for each model, or seconds for all models together."""

    trials: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"50"`` (trials) or ``"10m"``, ``"1h30m"``, ``"90s"``; raise :class:`ConfigError` for anything else."""
        if _TRIALS.fullmatch(text) and int(text):
            return cls(trials=int(text))
        match = _DURATION.fullmatch(text)
        parts = match.groups("0") if match else ()
        seconds = sum(int(number) * unit for number, unit in zip(parts, _SECONDS, strict=False))
        if not seconds:
            raise ConfigError(f"tune is {text!r}: write a number of trials (50) or a time (10m, 1h30m, 90s)")
        return cls(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of parameters that was tried.

    ``scores`` has one for each fold, as the scorer's users know them; a ``pruned`` trial was given up before its last
    fold, a failed one has its ``error``. Numbers count from 0, over all runs that a search took.
    """

    number: int
    params: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    pruned: bool = False
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has a score on every fold."""
        return bool(self.scores) and not self.pruned and self.error is None

    @property
    def mean(self) -> float:
        """The mean over its folds; NaN where there is no score."""
        return fmean(self.scores) if self.scores else nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record."""
        return {
            "number": self.number,
            "params": dict(self.params),
            "scores": list(self.scores),
            "pruned": self.pruned,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote."""
        return cls(**{**data, "scores": tuple(map(float, data["scores"]))})


def best_of(trials: Iterable[Trial], greater_is_better: bool) -> Trial | None:
    """Return the finished trial with the best mean, of equals the first; ``None`` if none has finished."""
    sign = -1 if greater_is_better else 1
    return min((t for t in trials if t.finished), key=lambda t: (sign * t.mean, t.number), default=None)


class TrialFailed(Exception):
    """The model could not be fitted or scored with these parameters; the message says why."""


class StopSearch(Exception):
    """The search is over: its time is up, or the run ends. The trial under way does not count."""


@dataclass(frozen=True)
class Search:
    """One model's search: everything a tuner needs.

    - ``evaluate(params, after_fold)`` fits and scores the model on the experiment's folds, one after the other, and
      returns the scores. After each fold ``after_fold(number, score)`` says whether to go on (``False`` prunes: what
      is there is returned). ``number`` counts from 0. Raises :class:`TrialFailed`, after which the search goes on, and
      :class:`StopSearch`, after which the tuner returns what it has.
    - ``defaults`` are values inside the space: ``evaluate(defaults, …)`` is the model as it is without tuning, and
      the first trial of a search. A parameter of the space that is not among them is left to the model's factory.
    - ``budget.trials`` is how many trials there shall be, those of earlier runs included, pruned and failed ones as
      well. With ``budget.seconds`` it is ``evaluate`` that says when time is up: a tuner needs no clock.
    - ``identity`` is the same for searches whose trials may be compared (same data, folds, scorer, model, space, seed):
      a tuner that keeps its trials under ``directory`` by this name can go on where it was.
    - ``on_trial(trial)`` is told of each trial when it ends. It and ``evaluate`` are called from the thread that
      ``tune`` was called in.
    """

    model: str
    space: Mapping[str, Range]
    defaults: Mapping[str, Any]
    greater_is_better: bool
    folds: int
    seed: int
    budget: Budget
    identity: str
    directory: Path
    evaluate: Callable[[Mapping[str, Any], Callable[[int, float], bool]], tuple[float, ...]]
    on_trial: Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found: the best trial's parameters, and every trial, the ``resumed`` first ones of earlier runs.

    ``params`` are empty if no trial has finished.
    """

    params: Mapping[str, Any]
    trials: tuple[Trial, ...]
    resumed: int = 0


@dataclass(frozen=True)
class Tuning:
    """What tuning one model came to.

    ``space`` is plain data; ``fixed`` are the parameters that the configuration sets, which were not searched, and
    ``params`` what was found for the others: empty if no trial has finished.
    """

    model: str
    identity: str
    greater_is_better: bool
    space: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Any]
    params: Mapping[str, Any]
    trials: tuple[Trial, ...]
    resumed: int = 0

    @property
    def finished(self) -> bool:
        """Whether a trial has finished, so that there are parameters to compete with."""
        return any(trial.finished for trial in self.trials)

    @property
    def before(self) -> float | None:
        """The mean score of the model as it is without tuning, the first trial's; ``None`` if that has not finished."""
        return next((trial.mean for trial in self.trials[:1] if trial.finished), None)

    @property
    def after(self) -> float | None:
        """The mean score with the parameters that were found; ``None`` if no trial has finished."""
        found = [trial for trial in self.trials if trial.params == self.params]
        best = best_of(found, self.greater_is_better)
        return None if best is None else best.mean

    @property
    def pruned(self) -> int:
        """How many trials were given up."""
        return sum(trial.pruned for trial in self.trials)

    @property
    def failed(self) -> int:
        """How many trials have failed."""
        return sum(trial.error is not None for trial in self.trials)

    @property
    def progress(self) -> tuple[tuple[int, float], ...]:
        """The trials that were the best when they ended, each with its number and its mean."""
        best: list[tuple[int, float]] = []
        sign = 1 if self.greater_is_better else -1
        for trial in self.trials:
            if trial.finished and (not best or sign * trial.mean > sign * best[-1][1]):
                best.append((trial.number, trial.mean))
        return tuple(best)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record, derived figures included."""
        return {
            "model": self.model,
            "identity": self.identity,
            "greater_is_better": self.greater_is_better,
            "before": self.before,
            "after": self.after,
            "pruned": self.pruned,
            "failed": self.failed,
            "resumed": self.resumed,
            "fixed": dict(self.fixed),
            "params": dict(self.params),
            "space": {name: dict(values) for name, values in self.space.items()},
            "trials": [trial.to_dict() for trial in self.trials],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote; derived figures are derived again."""
        trials = tuple(map(Trial.from_dict, data["trials"]))
        plain = {field.name: data[field.name] for field in fields(cls) if field.name != "trials"}
        return cls(**plain, trials=trials)
