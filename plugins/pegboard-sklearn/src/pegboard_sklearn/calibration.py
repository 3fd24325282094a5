"""Probabilities for classifiers that give decision values, on data with rare classes too."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted


class RareClassCalibrator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """:class:`~sklearn.calibration.CalibratedClassifierCV` (sigmoid) with as many folds as the rarest class allows.

    scikit-learn refuses a class with fewer members than folds. Here the folds are fewer then; where a class has one
    member only, the sigmoid is fitted on the training rows themselves, which makes its probabilities too sure.
    """

    def __init__(self, estimator: Any, folds: int = 5) -> None:
        self.estimator = estimator
        self.folds = folds

    def fit(self, X: Any, y: npt.NDArray[Any]) -> Self:  # noqa: N803 - scikit-learn's name
        """Fit the classifier and its calibration."""
        rarest = int(np.unique(y, return_counts=True)[1].min())
        if rarest >= 2:
            calibrated = CalibratedClassifierCV(clone(self.estimator), cv=min(self.folds, rarest), ensemble=False)
        else:
            calibrated = CalibratedClassifierCV(FrozenEstimator(clone(self.estimator).fit(X, y)), ensemble=False)
        self.calibrated_ = calibrated.fit(X, y)
        self.classes_ = self.calibrated_.classes_
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803 - scikit-learn's name
        """Return a row for each row of ``X``, a column for each class, sums of 1."""
        check_is_fitted(self)
        probabilities: npt.NDArray[np.float64] = self.calibrated_.predict_proba(X)
        return probabilities

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Return the most probable class of each row."""
        labels: npt.NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels
