"""Scorers. Those on probabilities hold when a fold lacks a class: what was never seen had probability 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Scorer = Callable[[Any, Any, Any], float]


def _sklearn(name: str) -> Scorer:
    from sklearn.metrics import get_scorer

    scorer: Scorer = get_scorer(name)
    return scorer


def rmse() -> Scorer:
    """Root mean squared error."""
    return _sklearn("neg_root_mean_squared_error")


def mae() -> Scorer:
    """Mean absolute error."""
    return _sklearn("neg_mean_absolute_error")


def mape() -> Scorer:
    """Mean absolute percentage error."""
    return _sklearn("neg_mean_absolute_percentage_error")


def r2() -> Scorer:
    """Coefficient of determination."""
    return _sklearn("r2")


def accuracy() -> Scorer:
    """Share of right labels."""
    return _sklearn("accuracy")


def f1() -> Scorer:
    """F1, averaged over the classes without weights."""
    return _sklearn("f1_macro")


def log_loss() -> Scorer:
    """Mean negative log-likelihood of the true class, over the classes of fit and fold together."""
    return _negative_log_loss


def _negative_log_loss(estimator: Any, features: Any, target: Any) -> float:
    from sklearn.metrics import log_loss as loss

    probabilities, labels = _aligned(estimator, features, target)
    return -float(loss(target, probabilities, labels=labels))


def roc_auc() -> Scorer:
    """Area under the ROC curve, averaged over the classes that the fold holds, each against the rest."""
    return _roc_auc


def _roc_auc(estimator: Any, features: Any, target: Any) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    probabilities, labels = _aligned(estimator, features, target)
    present = [i for i, label in enumerate(labels) if 0 < np.count_nonzero(target == label) < len(target)]
    if not present:
        raise ValueError("the fold holds one class only, so there is no ROC curve")
    return float(np.mean([roc_auc_score(target == labels[i], probabilities[:, i]) for i in present]))


def _aligned(estimator: Any, features: Any, target: Any) -> tuple[Any, Any]:
    """Return probabilities with a column for every class of the fit or the fold, and those classes, sorted."""
    import numpy as np

    labels = np.union1d(estimator.classes_, target)
    probabilities = np.zeros((len(target), len(labels)))
    probabilities[:, np.searchsorted(labels, estimator.classes_)] = estimator.predict_proba(features)
    return probabilities, labels
