"""How sure a difference of two scores is: both measured on the same resamples of the same rows.

The paired percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16).
What each side predicts is computed once, and rows of it are handed to the scorer, so any scorer can be asked a thousand
times. ``scipy.stats.bootstrap`` is not used: one resample on which the scorer is undefined makes its interval NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn

from pegboard.errors import DataError

SEED = 0
#: The share of resamples on which a scorer may be undefined.
MOST_UNDEFINED = 0.05
#: What a scorer may ask an estimator for.
RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function")

Measure = Callable[[Any, Any, Any], float]


class Answered:
    """A fitted pipeline that has answered a table's rows already.

    It is asked with rows of that table, which it knows by their index, or with their positions alone. Everything but
    answers is the pipeline's own.
    """

    def __init__(self, pipeline: Any, features: pd.DataFrame) -> None:
        self.features = features.reset_index(drop=True)
        self._pipeline = pipeline
        self._answers: dict[str, npt.NDArray[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        theirs = getattr(self._pipeline, name)
        if name not in RESPONSES:
            return theirs
        if name not in self._answers:
            self._answers[name] = np.asarray(theirs(self.features))
        answers = self._answers[name]

        def answer(rows: Any) -> Any:
            return answers[rows.index.to_numpy() if isinstance(rows, pd.DataFrame) else rows]

        answer.__name__ = name  # scikit-learn's scorers ask which method they were given
        return answer


@dataclass(frozen=True)
class Scores:
    """A side's score on all rows, greater being better, and on each resample (NaN: undefined there)."""

    score: float
    resampled: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one side is than the other, and between which bounds at a confidence; ``undefined`` counts."""

    better: float
    low: float
    high: float
    undefined: int


def scores(measure: Measure, side: Answered, target: npt.NDArray[Any], resamples: int) -> Scores:
    """Score a side on all rows and on resamples of them, which are the same for every side.

    Raises :class:`DataError` if there is no finite score for all rows.
    """
    every = np.arange(len(target))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a metric warns where it is undefined, which is counted here
        score, reason = _measured(measure, side, side.features, target)
        if not isfinite(score):
            raise DataError(f"there is no score on these {len(target):,} rows: {reason}")
        # Most scorers do nothing with the rows but have them predicted: then positions will do, at a tenth of the time.
        plain = _measured(measure, side, every, target)[0] == score
        draw = np.random.default_rng(SEED)
        resampled = np.empty(resamples)
        # What all rows have passed, some of them need not pass again: checking takes longer than measuring.
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            for number in range(resamples):
                rows = draw.integers(len(target), size=len(target))
                given = every[rows] if plain else side.features.iloc[rows]
                resampled[number] = _measured(measure, side, given, target[rows])[0]
    return Scores(score, resampled)


def difference(ours: Scores, theirs: Scores, confidence: float) -> Difference:
    """Compare two sides that were scored on the same rows.

    A resample on which either score is undefined (one class only, for example) is left out. Raises
    :class:`DataError` where that is more than one in twenty: what is left would not stand for the rows.
    """
    apart = ours.resampled - theirs.resampled
    defined = apart[np.isfinite(apart)]
    undefined = len(apart) - len(defined)
    if undefined > MOST_UNDEFINED * len(apart):
        raise DataError(f"the score is undefined on {undefined} of {len(apart)} resamples: give more rows with --data")
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Difference(ours.score - theirs.score, float(low), float(high), undefined)


def _measured(measure: Measure, side: Answered, rows: Any, target: npt.NDArray[Any]) -> tuple[float, str]:
    """Return a score, or NaN and why there is none."""
    try:
        score = float(measure(side, rows, target))
    except Exception as error:  # whatever a scorer raises
        return nan, f"{type(error).__name__}: {error}"
    return (score, "") if isfinite(score) else (nan, f"it is {score}")
