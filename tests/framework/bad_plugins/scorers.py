"""A plugin whose scorers have a defect each, named by it; and good ones."""

from __future__ import annotations

from functools import partial

from pegboard import ScorerSpec, hookimpl


def _errors(estimator, X, y):
    return estimator.predict(X) - y


def good():
    from sklearn.metrics import get_scorer

    return get_scorer("neg_mean_absolute_error")


def good_classification():
    from sklearn.metrics import get_scorer

    return get_scorer("balanced_accuracy")


def not_negated():
    return lambda estimator, X, y: float(abs(_errors(estimator, X, y)).mean())


def biased():
    return lambda estimator, X, y: -float(abs(_errors(estimator, X, y) - 1).mean())


def by_position():
    import numpy as np

    return lambda estimator, X, y: -float((abs(_errors(estimator, X, y)) * np.arange(1, len(y) + 1)).mean())


def weighs_wrongly():
    def scorer(estimator, X, y, sample_weight=1.0):
        return -float((abs(_errors(estimator, X, y)) * sample_weight).sum() / len(y))

    return scorer


def not_a_number():
    return lambda estimator, X, y: float("nan")


@hookimpl
def register_scorers():
    error = partial(ScorerSpec, tasks=("regression",), greater_is_better=False, summary="one defect")
    return [
        error(name="good", make=good),
        ScorerSpec(name="good-classes", tasks=("classification",), make=good_classification, summary="good"),
        error(name="not-negated", make=not_negated),
        error(name="wrong-flag", make=good, greater_is_better=True),
        error(name="biased", make=biased),
        error(name="by-position", make=by_position),
        error(name="weighs-wrongly", make=weighs_wrongly),
        error(name="not-a-number", make=not_a_number),
    ]
