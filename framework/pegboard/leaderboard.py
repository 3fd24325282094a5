"""What a comparison found: a row for each candidate, and the board they hang on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model's result. Scores are as the scorer's users know them (an RMSE is positive), one for each fold.

    ``fit_seconds`` is the mean over folds. A candidate that failed has its ``error`` and no scores.
    """

    name: str
    scores: tuple[float, ...] = ()
    fit_seconds: float = 0.0
    complexity: float = 0.0
    baseline: bool = False
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Mean score over the folds; NaN for a failed candidate."""
        return fmean(self.scores) if self.scores else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the folds (n - 1); NaN for a failed candidate."""
        return stdev(self.scores) if len(self.scores) > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the folds."""
        return self.spread / math.sqrt(len(self.scores)) if self.scores else math.nan


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All candidates, best first, failed ones last, with the scorer they were measured by."""

    scorer: str
    greater_is_better: bool
    candidates: tuple[Candidate, ...]

    @classmethod
    def of(cls, scorer: str, greater_is_better: bool, candidates: list[Candidate]) -> Leaderboard:
        """Sort candidates onto a board; equal means are ordered by name, so that runs repeat."""
        sign = -1.0 if greater_is_better else 1.0
        ordered = sorted(candidates, key=lambda c: (c.error is not None, sign * c.mean if c.scores else 0.0, c.name))
        return cls(scorer, greater_is_better, tuple(ordered))

    @property
    def finished(self) -> tuple[Candidate, ...]:
        """The candidates that have scores, best first."""
        return tuple(c for c in self.candidates if c.error is None)

    def eligible(self) -> Leaderboard:
        """Return the board of those that may win: finished, and no baseline."""
        return replace(self, candidates=tuple(c for c in self.finished if not c.baseline))

    def __getitem__(self, name: str) -> Candidate:
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    def loss(self, candidate: Candidate) -> float:
        """How far a candidate's mean is behind the best, never negative; in the scorer's unit."""
        return abs(candidate.mean - self.finished[0].mean)

    def behind(self, candidate: Candidate) -> tuple[float, float]:
        """Paired difference to the best over the folds: its mean and its standard error, in the scorer's unit."""
        best = self.finished[0]
        differences = [mine - theirs for mine, theirs in zip(candidate.scores, best.scores, strict=True)]
        error = stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
        return fmean(differences), error

    def beats_baseline(self, candidate: Candidate) -> bool:
        """Whether a candidate's mean is strictly better than that of every baseline, and there is one to beat."""
        sign = -1.0 if self.greater_is_better else 1.0
        baselines = [c for c in self.finished if c.baseline]
        return bool(baselines) and all(sign * candidate.mean < sign * c.mean for c in baselines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, derived figures included (for people and for ``--json``)."""
        rows = []
        for candidate in self.candidates:
            row = asdict(candidate)
            if candidate.error is None:
                difference, error = self.behind(candidate)
                row |= {"mean": candidate.mean, "spread": _finite(candidate.spread)}
                row |= {"behind_best": difference, "behind_best_error": _finite(error)}
            rows.append(row)
        return {"scorer": self.scorer, "greater_is_better": self.greater_is_better, "candidates": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Leaderboard:
        """Read what :meth:`to_dict` wrote; derived figures are derived again."""
        fields = Candidate.__dataclass_fields__
        rows = [{key: value for key, value in row.items() if key in fields} for row in data["candidates"]]
        sequences = ("scores", "warnings")
        plain: list[dict[str, Any]] = [{k: tuple(v) if k in sequences else v for k, v in r.items()} for r in rows]
        candidates = [Candidate(**row) for row in plain]
        return cls(data["scorer"], data["greater_is_better"], tuple(candidates))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
