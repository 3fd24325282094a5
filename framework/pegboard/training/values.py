"""What the stages hand to one another."""

from __future__ import annotations

from dataclasses import dataclass
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
class Winner:
    """The chosen candidate, its pipeline fitted on all rows, and its score on the hold-out (``None`` without one).

    The hold-out score belongs to the recipe: it was measured on a pipeline fitted on the training part alone.
    """

    candidate: Candidate
    pipeline: Pipeline
    holdout_score: float | None
    holdout_rows: int
