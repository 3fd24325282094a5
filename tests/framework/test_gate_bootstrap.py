"""How sure a difference is: for any scorer, and right about as often as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.svm import LinearSVC

from pegboard.errors import DataError
from pegboard.gate.bootstrap import SEED, Answered, Scores, difference, scores

ROWS = 80
RNG = np.random.default_rng(7)
FEATURES = pd.DataFrame(RNG.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
NUMBERS = np.exp(FEATURES["a"].to_numpy() + RNG.normal(0, 0.5, ROWS))
FLAGS = np.greater(NUMBERS, np.median(NUMBERS)).astype(int)
WORDS = np.where(FLAGS, "yes", "no").astype(object)
FITTED = {
    "regression": (DummyRegressor().fit(FEATURES, NUMBERS), NUMBERS),
    "classes": (LogisticRegression().fit(FEATURES, FLAGS), FLAGS),
    "words": (LogisticRegression().fit(FEATURES, WORDS), WORDS),
    "decisions": (LinearSVC().fit(FEATURES, FLAGS), FLAGS),
}


def scored(measure: Any, *given: Any) -> float:
    try:
        return float(measure(*given))
    except Exception:
        return float("nan")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FITTED)
def test_every_scorer_measures_stored_answers_as_it_measures_the_pipeline(kind: str) -> None:
    pipeline, target = FITTED[kind]
    drawn = np.random.default_rng(SEED).integers(ROWS, size=ROWS)
    measured = 0
    for name in get_scorer_names():
        measure = get_scorer(name)
        expected = scored(measure, pipeline, FEATURES, target)
        if not np.isfinite(expected):
            continue
        found = scores(measure, Answered(pipeline, FEATURES), target, 1)
        again = scored(measure, pipeline, FEATURES.iloc[drawn], target[drawn])
        assert found.score == expected, name
        np.testing.assert_equal(found.resampled, [again], err_msg=name)
        measured += 1
    assert measured >= 15


def test_a_scorer_that_looks_at_the_features_sees_those_of_the_resample() -> None:
    pipeline, target = LinearRegression().fit(FEATURES, NUMBERS), NUMBERS

    def weighted(estimator: Any, features: Any, actual: Any) -> float:
        return -float(np.average(np.abs(estimator.predict(features) - actual), weights=np.abs(features["b"])))

    drawn = np.random.default_rng(SEED).integers(ROWS, size=ROWS)
    found = scores(weighted, Answered(pipeline, FEATURES), target, 1)
    assert found.resampled[0] == pytest.approx(weighted(pipeline, FEATURES.iloc[drawn], target[drawn]), rel=1e-12)


def test_rows_are_known_by_position_whatever_their_index_was() -> None:
    shuffled = FEATURES.set_index(np.arange(ROWS)[::-1] * 10)
    pipeline = LinearRegression().fit(FEATURES, NUMBERS)
    measure = get_scorer("r2")
    assert scores(measure, Answered(pipeline, shuffled), NUMBERS, 1).score == measure(pipeline, FEATURES, NUMBERS)


def test_resamples_on_which_the_scorer_is_undefined_are_left_out_and_counted() -> None:
    ours, theirs = np.linspace(1, 2, 100), np.zeros(100)
    ours[:3], theirs[3:5] = np.nan, np.nan
    found = difference(Scores(1.5, ours), Scores(0.0, theirs), 0.9)
    assert (found.better, found.undefined) == (1.5, 5)
    assert found.low == pytest.approx(np.quantile(ours[5:], 0.05))


def test_a_scorer_that_is_undefined_on_many_resamples_is_refused() -> None:
    rare = np.array([1] + [0] * 29)
    features = pd.DataFrame({"x": np.arange(30.0)})
    measure = get_scorer("roc_auc")
    one = scores(measure, Answered(LogisticRegression().fit(features, rare), features), rare, 100)
    with pytest.raises(DataError, match=r"undefined on \d\d of 100 resamples: give more rows with --data"):
        difference(one, one, 0.95)


def test_a_score_that_all_rows_do_not_have_is_an_error_that_says_why() -> None:
    pipeline, target = FITTED["classes"]
    with pytest.raises(DataError, match="no score on these 80 rows: ValueError: too bad"):
        scores(_raising, Answered(pipeline, FEATURES), target, 100)
    with pytest.raises(DataError, match="no score on these 80 rows: it is nan"):
        scores(lambda *_: float("nan"), Answered(pipeline, FEATURES), target, 100)


def _raising(*_: Any) -> float:
    raise ValueError("too bad")


class Guess:
    """Answers that are given."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def predict(self, _: Any) -> Any:
        return self._answers


def mean_squared(side: Any, rows: Any, actual: Any) -> float:
    return -float(np.mean((side.predict(rows) - actual) ** 2))


def lower_bounds(experiments: int, spread: float, confidence: float) -> Any:
    """Low ends for a challenger whose errors are ``spread`` times the champion's, over that many experiments."""
    rng = np.random.default_rng(11)
    low = []
    for _ in range(experiments):
        actual = rng.normal(size=60)
        features = pd.DataFrame(index=range(60))
        sides = [Answered(Guess(actual + wide * rng.normal(size=60)), features) for wide in (spread, 1.0)]
        low.append(difference(*(scores(mean_squared, side, actual, 100) for side in sides), confidence).low)
    return np.array(low)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_of_two_that_are_equally_good_one_is_seldom_called_better(confidence: float) -> None:
    called_better = np.mean(lower_bounds(120, 1.0, confidence) > 0)
    assert 0 < called_better <= 1 - confidence


def test_one_that_is_much_worse_is_never_let_through_and_one_much_better_always_is() -> None:
    assert (lower_bounds(40, 2.0, 0.95) < -0.05).all()
    assert (lower_bounds(40, 0.3, 0.95) > 0).all()
