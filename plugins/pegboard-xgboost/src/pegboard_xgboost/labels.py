"""XGBoost's classifier for labels of any kind: its own takes the numbers from 0 on, and nothing else."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from xgboost import XGBClassifier


class LabelledXGBClassifier(XGBClassifier):
    """``XGBClassifier`` whose ``classes_`` are the labels that it was given, in sorted order."""

    def fit(self, X: Any, y: Any, **more: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Fit on labels that can be sorted, such as texts, integers or booleans; ``more`` goes to XGBoost."""
        labels, numbers = np.unique(np.asarray(y), return_inverse=True)
        objective = self.objective
        self._labels = np.arange(len(labels))  # XGBoost asks for `classes_` while it fits, and expects its own
        super().fit(X, numbers, **more)
        self._labels = labels
        self.objective = objective  # XGBoost keeps the one for many classes, and then refuses two
        return self

    def predict(self, X: Any, **more: Any) -> npt.NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Return the most likely label of each row; ``more`` goes to XGBoost."""
        labels: npt.NDArray[Any] = self._labels[super().predict(X, **more)]
        return labels

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The labels, in the order of the columns of ``predict_proba``."""
        return self._labels
