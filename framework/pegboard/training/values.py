"""What the stages hand to one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from pegboard.fingerprint import fingerprint
from pegboard.frames import conform, target_values
from pegboard.leaderboard import Candidate
from pegboard.signature import Signature

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Table:
    """A source's table with its signature, and its features and target in canonical form, row by row the same."""

    frame: pd.DataFrame
    signature: Signature
    features: pd.DataFrame
    target: npt.NDArray[Any]

    @classmethod
    def of(cls, frame: pd.DataFrame, signature: Signature) -> Self:
        """Bring a table into canonical form; raise :class:`~pegboard.errors.SignatureError` if it does not fit."""
        return cls(frame, signature, conform(frame, signature), target_values(frame, signature))

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what a model can learn from: the features and the target."""
        return fingerprint(self.features, self.target)

    def rows(self, positions: Rows) -> tuple[pd.DataFrame, npt.NDArray[Any]]:
        """Return features and target of some rows."""
        return self.features.iloc[positions], self.target[positions]


@dataclass(frozen=True)
class Split:
    """Positions of rows: the training part, the hold-out, and (fit, score) pairs of positions for each fold."""

    train: Rows
    holdout: Rows
    folds: tuple[tuple[Rows, Rows], ...]


@dataclass(frozen=True)
class Evaluation:
    """How a recipe, fitted on the training part, does on the hold-out. What could not be measured is ``None``.

    - ``score`` is as the scorer's users know it, over all ``rows`` held out.
    - ``predictions`` (regression): ``actual`` and ``predicted`` of at most 2,000 rows.
    - ``confusion`` (classification): ``classes``, and ``counts`` with a row for each actual class and a column for
      each predicted one.
    - ``calibration`` (classification): for each class, the mean predicted probability in each bin (``predicted``) and
      how often it was that class (``observed``).
    - ``importance``: for each column, the most important first, how much worse the score gets when the column's values
      are shuffled (``mean`` and ``spread`` over repeats; more is more important).
    """

    score: float | None
    rows: int
    predictions: Mapping[str, Sequence[float]] | None = None
    confusion: Mapping[str, Any] | None = None
    calibration: Sequence[Mapping[str, Any]] | None = None
    importance: Sequence[Mapping[str, Any]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the run's record."""
        return asdict(self)


@dataclass(frozen=True)
class Winner:
    """The chosen candidate, its pipeline fitted on all rows, and its score on the hold-out (``None`` without one).

    The hold-out score belongs to the recipe: it was measured on a pipeline fitted on the training part alone.
    """

    candidate: Candidate
    pipeline: Pipeline
    holdout_score: float | None
    holdout_rows: int
