"""What a tuner is given, and what it gives back. How it searches is its own affair; nothing here knows a library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pegboard.errors import ConfigError
from pegboard.space import Range

_SECONDS = (3600, 60, 1)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend: a number of trials for each model, or seconds for all models together."""

    trials: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"50"`` (trials) or ``"10m"``, ``"1h30m"``, ``"90s"``; raise :class:`ConfigError` for anything else."""
        if text.isascii() and text.isdigit() and int(text):
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
    fold, a failed one has its ``error``.
    """

    number: int
    params: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    pruned: bool = False
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record."""
        return asdict(self)


class TrialFailed(Exception):
    """The model could not be fitted or scored with these parameters; the message says why."""


@dataclass(frozen=True)
class Search:
    """One model's search: everything a tuner needs.

    - ``evaluate(params, after_fold)`` fits and scores the model on the experiment's folds, one after the other, and
      returns the scores. After each fold ``after_fold(number, score)`` says whether to go on (``False`` prunes: what
      is there is returned). Raises :class:`TrialFailed`. Any thread may call it.
    - ``defaults`` are values inside the space with which a search starts: the model as it is without tuning.
    - ``identity`` is the same for searches whose trials may be compared (same data, folds, scorer, model, space, seed):
      a tuner that keeps its trials under ``directory`` by this name can go on where it was.
    - ``on_trial(trial)`` is told of each trial when it ends.
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
    """What a search found: the best trial's parameters, and every trial, those of earlier runs included."""

    params: Mapping[str, Any]
    trials: tuple[Trial, ...]
    resumed: int = 0
