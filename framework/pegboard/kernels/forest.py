"""Random forests and extra trees, with the bits of scikit-learn.

One row goes through all trees in one call (:mod:`pegboard.kernels.merged`). Where scikit-learn's trees are not as they
are known there, they are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.kernels.encoder import Encoder
from pegboard.kernels.merged import merge

#: From this value on, float64 becomes infinite as float32: the largest float32 and half a step.
FLOAT32_OVERFLOW = float(np.finfo(np.float32).max) * (1 + 2**-25)

#: From this many rows on, tree by tree is faster than row by row.
MANY = 30


class Forest:
    """The mean of the trees' leaves, added up in the forest's own order."""

    def __init__(self, encoder: Encoder, trees: Sequence[Any], classes: int) -> None:
        self._encoder = encoder
        self._trees = trees
        self._classes = classes
        self._scaled = any(number.scaled for _, number in encoder.numbers)
        self._merged = merge(trees, encoder.width)
        if self._merged is not None:
            leaves = self._merged.value[:, 0, :]
            self._leaves = leaves if classes else leaves[:, 0]
            self._rows = np.zeros((len(trees), encoder.width + 1), dtype=np.float32)
            self._rows[:, -1] = range(len(trees))

    def one(self, values: Sequence[Any]) -> float | list[float]:
        """Return the forest's answer for one row."""
        row = self._encoder.one(values)
        if self._scaled and any(abs(number) >= FLOAT32_OVERFLOW for number in row):
            return [np.nan] * self._classes or np.nan
        answer: float | list[float] = self._row(np.array(row, dtype=np.float32)).tolist()
        return answer

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the forest's answers for canonical columns."""
        with np.errstate(over="ignore"):
            matrix = self._encoder.many(columns, np.float32)
        if len(matrix) < MANY and self._merged is not None:
            answers = np.array([self._row(row) for row in matrix])
        else:
            answers = self._tree_by_tree(matrix)
        if self._scaled:
            answers[np.isinf(matrix).any(axis=1)] = np.nan
        return answers

    def _row(self, row: npt.NDArray[np.float32]) -> Any:
        if self._merged is None:
            return self._tree_by_tree(row[None])[0]
        rows = self._rows.copy()
        rows[:, :-1] = row
        # `sum` would add in another order, and in pairs.
        return np.add.accumulate(self._leaves[self._merged.apply(rows)])[-1] / len(self._trees)

    def _tree_by_tree(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        total = np.zeros((len(matrix), self._classes) if self._classes else len(matrix))
        for tree in self._trees:
            total += tree.predict(matrix).reshape(total.shape)
        total /= len(self._trees)
        return total


def forest(estimator: Any, encoder: Encoder) -> Forest | None:
    """Compile a fitted forest of one target."""
    if estimator.n_outputs_ != 1 or estimator.n_features_in_ != encoder.width:
        return None
    trees = [tree.tree_ for tree in estimator.estimators_]
    return Forest(encoder, trees, int(estimator.n_classes_) if hasattr(estimator, "classes_") else 0)
