"""What a preprocessing comes to, feature by feature: a number on its way, or a table of what each value becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Number:
    """One column of the matrix: ``(x - mean) / scale``, or ``missing`` where the feature has no value."""

    feature: int
    missing: float
    mean: float = 0.0
    scale: float = 1.0

    @property
    def scaled(self) -> bool:
        """Whether anything is done to the number."""
        return (self.mean, self.scale) != (0.0, 1.0)

    def many(self, column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the matrix column of a canonical column, in the very steps of scikit-learn's scaler."""
        values = column
        if self.scaled:
            values = column - self.mean
            values /= self.scale
        return values if np.isnan(self.missing) else np.where(np.isnan(column), self.missing, values)


class Lookup:
    """Some columns of the matrix: a row of ``rows`` for each value of one feature.

    ``keys`` are the known values; ``rows`` has one for each of them, then the one for what is missing, then the one
    for what is unknown.
    """

    def __init__(self, feature: int, keys: Sequence[Any], rows: npt.NDArray[np.float64]) -> None:
        self.feature = feature
        self.keys = tuple(keys)
        self.rows = rows
        self._index = pd.Index([*keys, np.nan], dtype=np.float64 if _are_numbers(keys) else object)
        self.codes(np.asarray(self._index))  # pandas builds its hash table on the first use, and threads share it

    def codes(self, column: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return the number of each value's row, -1 (the last one) for what is unknown."""
        return self._index.get_indexer(pd.Index(column, dtype=column.dtype, copy=False))

    def by_value(self, given: Sequence[T]) -> tuple[dict[Any, T], T]:
        """Return something given for each row as a dictionary by JSON value, and what is given for the unknown."""
        return dict(zip((*self.keys, None), given, strict=False)), given[-1]


def _are_numbers(keys: Sequence[Any]) -> bool:
    return bool(keys) and not any(isinstance(key, str) for key in keys)
