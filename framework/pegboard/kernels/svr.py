"""Support vector regression with the RBF kernel.

The squared distance to a support vector is ``|x|² - 2 x·s + |s|²`` over the numbers, taken from the vectors' centre, so
that one matrix product gives all of them; categories, of which there are few, add a table each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.kernels.encoder import Encoder

#: So many exponents are held at once: they stay in a core's own cache.
BLOCK = 2**16

#: The expanded square costs about 1e-16 of the largest exponent: beyond this one, nine digits are not sure any more.
LARGEST_EXPONENT = 1e5

Floats = npt.NDArray[np.float64]


class Svr:
    """``intercept + sum(dual coefficient * exp(-gamma * squared distance))`` over the support vectors."""

    def __init__(self, encoder: Encoder, vectors: Floats, duals: Floats, intercept: float, gamma: float) -> None:
        self._encoder = encoder
        self._duals = np.ascontiguousarray(duals)
        self._intercept = float(intercept)
        self._gamma = gamma
        numbers = vectors[:, [i for i, _ in encoder.numbers]]
        centre = numbers.mean(axis=0)
        from_centre = (numbers - centre).T
        squares = (from_centre**2).sum(axis=0)
        self.largest_exponent = gamma * float(squares.max(initial=0.0))
        # A row (x, 1, -gamma |x|²) times this matrix is the exponents.
        self._matrix = np.vstack([2 * gamma * from_centre, -gamma * squares, np.ones(len(duals))])
        self._centre = centre.tolist()
        self._numbers = [
            (n.feature, n.missing, n.mean, n.scale, c) for (_, n), c in zip(encoder.numbers, self._centre, strict=True)
        ]
        self._tables = [-gamma * _distances(t.rows, vectors[:, i : i + t.rows.shape[1]]) for i, t in encoder.lookups]
        pairs = zip(encoder.lookups, self._tables, strict=True)
        self._lookups = [(lookup.feature, *lookup.by_value(list(table))) for (_, lookup), table in pairs]

    def one(self, values: Sequence[Any]) -> float:
        """Return the prediction of one row."""
        row = [
            (missing if (value := values[feature]) is None else (value - mean) / scale) - centre
            for feature, missing, mean, scale, centre in self._numbers
        ]
        square = 0.0
        for number in row:
            square += number * number
        row += (1.0, -self._gamma * square)
        exponents = np.einsum("i,ij->j", row, self._matrix)
        for feature, table, unknown in self._lookups:
            exponents += table.get(values[feature], unknown)
        return float(self._duals @ np.exp(exponents, out=exponents)) + self._intercept

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> Floats:
        """Return the predictions of canonical columns, block by block of rows."""
        rows = np.ones((len(columns[0]), len(self._matrix)))
        for position, ((_, number), centre) in enumerate(zip(self._encoder.numbers, self._centre, strict=True)):
            rows[:, position] = number.many(columns[number.feature]) - centre
        rows[:, -1] = -self._gamma * (rows[:, :-2] ** 2).sum(axis=1)
        codes = self._encoder.codes(columns)
        answers = np.empty(len(rows))
        step = max(1, BLOCK // len(self._duals))
        exponents = np.empty((step, len(self._duals)))
        for start in range(0, len(answers), step):
            part = slice(start, start + step)
            block = exponents[: len(rows[part])]
            np.einsum("ki,ij->kj", rows[part], self._matrix, out=block)
            for table, code in zip(self._tables, codes, strict=True):
                for row in range(len(block)):
                    block[row] += table[code[start + row]]
            np.exp(block, out=block)
            answers[part] = np.einsum("kj,j->k", block, self._duals)
        answers += self._intercept
        return answers


def _distances(rows: Floats, vectors: Floats) -> Floats:
    """Return the squared distance of each row to each vector, (rows, vectors)."""
    found = np.zeros((len(rows), len(vectors)))
    for mine, theirs in zip(rows.T, vectors.T, strict=True):
        found += (mine[:, None] - theirs) ** 2
    return found


def svr(estimator: Any, encoder: Encoder) -> Svr | None:
    """Compile a fitted ``SVR`` with the RBF kernel."""
    vectors, duals = (_dense(given) for given in (estimator.support_vectors_, estimator.dual_coef_))
    if estimator.kernel != "rbf" or vectors.shape[1] != encoder.width or not len(vectors):
        return None
    # The gamma that was used is kept under this name only: "scale" depends on the training rows.
    kernel = Svr(encoder, vectors, duals[0], estimator.intercept_[0], float(estimator._gamma))
    return kernel if kernel.largest_exponent <= LARGEST_EXPONENT else None


def _dense(given: Any) -> Floats:
    return np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float64)
