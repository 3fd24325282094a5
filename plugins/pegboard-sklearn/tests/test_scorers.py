"""Scorers: the perfect prediction is the best, and a fold that lacks a class has a score all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import get_scorer, log_loss

from pegboard import ScorerSpec
from pegboard_sklearn import plugin

SCORERS = {scorer.name: scorer for scorer in plugin.register_scorers()}
THEIRS = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}
THEIRS |= {"mape": "neg_mean_absolute_percentage_error", "accuracy": "accuracy", "f1": "f1_macro"}
THEIRS |= {"log-loss": "neg_log_loss", "roc-auc": "roc_auc_ovr"}


class Fixed:
    """A fitted estimator that answers what it was given."""

    _estimator_type = "classifier"

    def __init__(self, answers: Any, classes: Any = None) -> None:
        self.answers = np.asarray(answers)
        if classes is not None:
            self.classes_ = np.asarray(classes)

    def fit(self, *_: Any) -> Fixed:
        return self

    def predict(self, _: Any) -> Any:
        return self.answers if self.answers.ndim == 1 else self.classes_[self.answers.argmax(axis=1)]

    def predict_proba(self, _: Any) -> Any:
        return self.answers

    def __sklearn_tags__(self) -> Any:
        from sklearn.dummy import DummyClassifier, DummyRegressor

        return (DummyRegressor() if self.answers.ndim == 1 else DummyClassifier()).__sklearn_tags__()


def shown(name: str, estimator: Fixed, target: Any) -> float:
    """Return a score as a leaderboard shows it."""
    scorer = SCORERS[name]
    value = scorer.make()(estimator, np.zeros((len(target), 1)), np.asarray(target))
    return value if scorer.greater_is_better else -value


@pytest.mark.parametrize("name", ["rmse", "mae", "mape", "r2"])
@settings(deadline=None)
@given(target=st.lists(st.floats(1, 1e6), min_size=3, max_size=10, unique=True), off=st.floats(0.5, 100))
def test_the_perfect_regression_is_the_best(name: str, target: list[float], off: float) -> None:
    perfect, worse = shown(name, Fixed(target), target), shown(name, Fixed(np.array(target) + off), target)
    assert perfect == (1.0 if SCORERS[name].greater_is_better else 0.0)
    assert worse < perfect if SCORERS[name].greater_is_better else worse > perfect


@pytest.mark.parametrize("name", ["log-loss", "accuracy", "roc-auc", "f1"])
def test_the_perfect_classification_is_the_best(name: str) -> None:
    target = np.array(["a", "b", "c", "a", "b", "c"])
    sure = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    perfect = shown(name, Fixed(sure, ["a", "b", "c"]), target)
    worse = shown(name, Fixed(np.roll(sure, 1, axis=0) * 0.4 + 0.2, ["a", "b", "c"]), target)
    assert perfect == pytest.approx(1.0 if SCORERS[name].greater_is_better else 0.0)
    assert worse < perfect if SCORERS[name].greater_is_better else worse > perfect


@pytest.mark.parametrize("name", ["log-loss", "accuracy", "roc-auc", "f1"])
@pytest.mark.parametrize("labels", [["a", "b"], [0, 1], [False, True], ["x", "y", "z"]])
def test_where_no_class_is_missing_scikit_learn_says_the_same(name: str, labels: list[Any]) -> None:
    rng = np.random.default_rng(1)
    target = np.array(labels)[rng.permutation(np.arange(60) % len(labels))]
    probabilities = rng.dirichlet(np.ones(len(labels)), 60)
    estimator = Fixed(probabilities, labels)
    theirs = get_scorer(THEIRS[name])(estimator, np.zeros((60, 1)), target)
    assert SCORERS[name].make()(estimator, np.zeros((60, 1)), target) == pytest.approx(theirs)


def test_a_class_that_the_fit_lacked_had_probability_zero() -> None:
    estimator = Fixed([[0.9, 0.1], [0.2, 0.8]], ["a", "b"])
    expected = log_loss(["a", "c"], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], labels=["a", "b", "c"])
    assert shown("log-loss", estimator, ["a", "c"]) == pytest.approx(expected)
    assert shown("roc-auc", estimator, ["a", "c"]) == pytest.approx(0.75)


def test_a_fold_that_lacks_a_class_is_scored_on_the_others() -> None:
    estimator = Fixed([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], ["a", "b", "c"])
    assert shown("log-loss", estimator, ["a", "b"]) == pytest.approx(-np.log(0.8))
    assert shown("roc-auc", estimator, ["a", "b"]) == 1.0


def test_there_is_no_roc_curve_of_one_class() -> None:
    with pytest.raises(ValueError, match="the fold holds one class only"):
        shown("roc-auc", Fixed([[0.8, 0.2]], ["a", "b"]), ["a"])


@pytest.mark.parametrize("scorer", SCORERS.values(), ids=lambda s: s.name)
def test_the_order_of_rows_does_not_matter(scorer: ScorerSpec) -> None:
    rng = np.random.default_rng(2)
    order = rng.permutation(30)
    if scorer.tasks == ("regression",):
        answers, target, classes = rng.normal(size=30), rng.normal(size=30), None
    else:
        answers, target, classes = rng.dirichlet([1, 1], 30), np.array(["a", "b"] * 15), ["a", "b"]
    measure = scorer.make()
    rows = np.zeros((30, 1))
    shuffled = measure(Fixed(answers[order], classes), rows, target[order])
    assert shuffled == pytest.approx(measure(Fixed(answers, classes), rows, target))
