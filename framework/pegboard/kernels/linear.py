"""Linear models: a sum over the features, and for classes a sigmoid or a softmax of such sums."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.kernels.encoder import Encoder


class Linear:
    """``intercept + sum((x - mean) * (coefficient / scale))`` over numbers, plus a term for each category.

    The means are not folded into the intercept: that would cancel digits where a mean is large.
    """

    def __init__(self, encoder: Encoder, coefficients: npt.NDArray[np.float64], intercept: float) -> None:
        self._encoder = encoder
        self._intercept = float(intercept)
        weights = coefficients.tolist()
        self._numbers = [
            (number.feature, number.missing * weights[i], number.mean, weights[i] / number.scale)
            for i, number in encoder.numbers
        ]
        self._terms = [rows.rows @ coefficients[i : i + rows.rows.shape[1]] for i, rows in encoder.lookups]
        pairs = zip(encoder.lookups, self._terms, strict=True)
        self._lookups = [(lookup.feature, *lookup.by_value(terms.tolist())) for (_, lookup), terms in pairs]

    def one(self, values: Sequence[Any]) -> float:
        """Return the sum for one row."""
        total = self._intercept
        for feature, missing, mean, weight in self._numbers:
            value = values[feature]
            total += missing if value is None else (value - mean) * weight
        for feature, terms, unknown in self._lookups:
            total += terms.get(values[feature], unknown)
        return total

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the sum for each row, in the steps of :meth:`one`."""
        return self.sums(columns, self._encoder.codes(columns))

    def sums(
        self, columns: Sequence[npt.NDArray[Any]], codes: Sequence[npt.NDArray[np.intp]]
    ) -> npt.NDArray[np.float64]:
        """Return the sum for each row, given the encoder's codes of the columns."""
        total = np.full(len(columns[0]), self._intercept)
        for feature, missing, mean, weight in self._numbers:
            part = columns[feature] - mean
            part *= weight
            part[np.isnan(columns[feature])] = missing
            total += part
        for terms, rows in zip(self._terms, codes, strict=True):
            total += terms[rows]
        return total


class Logistic:
    """Probabilities of the classes: the sigmoid of one sum for two of them, the softmax of a sum each for more."""

    def __init__(self, encoder: Encoder, scores: Sequence[Linear]) -> None:
        self._encoder = encoder
        self._scores = scores

    def one(self, values: Sequence[Any]) -> list[float]:
        """Return a probability for each class."""
        scores = [score.one(values) for score in self._scores]
        if len(scores) == 1:
            power = exp(-abs(scores[0]))
            likely = 1 / (1 + power) if scores[0] >= 0 else power / (1 + power)
            return [1 - likely, likely]
        highest = max(scores)
        powers = [exp(score - highest) for score in scores]
        total = sum(powers)
        return [power / total for power in powers]

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return (rows, classes) probabilities."""
        codes = self._encoder.codes(columns)
        scores = np.stack([score.sums(columns, codes) for score in self._scores], axis=1)
        if scores.shape[1] == 1:
            powers = np.exp(-np.abs(scores))
            likely = np.where(scores >= 0, 1, powers) / (1 + powers)
            return np.hstack([1 - likely, likely])
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def regression(estimator: Any, encoder: Encoder) -> Linear | None:
    """Compile a fitted linear regression of one target."""
    coefficients, intercept = np.ravel(_dense(estimator.coef_)), np.ravel(estimator.intercept_)
    if len(coefficients) != encoder.width or len(intercept) != 1:
        return None
    return Linear(encoder, coefficients.astype(np.float64), intercept[0])


def logistic(estimator: Any, encoder: Encoder) -> Logistic | None:
    """Compile a fitted logistic regression."""
    coefficients = np.asarray(_dense(estimator.coef_), dtype=np.float64)
    if coefficients.shape[1] != encoder.width:
        return None
    pairs = zip(coefficients, estimator.intercept_, strict=True)
    return Logistic(encoder, [Linear(encoder, row, intercept) for row, intercept in pairs])


def _dense(coefficients: Any) -> Any:
    return coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients
