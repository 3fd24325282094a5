"""XGBoost's classifier for labels of any kind, beyond what the conformance kit asks."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from pegboard_xgboost import models


def test_a_classifier_of_many_classes_can_be_fitted_again_on_two() -> None:
    rows, labels = np.arange(30.0)[:, None], np.repeat(["a", "b", "c"], 10)
    classifier = models.classifier(n_estimators=5)
    before = classifier.get_params()
    classifier.fit(rows, labels)
    after = classifier.get_params()
    assert {name: after[name] for name in after if after[name] == after[name]} == {
        name: before[name] for name in before if before[name] == before[name]
    }
    assert clone(classifier).fit(rows, labels != "a").predict(rows[[0, 29]]).tolist() == [False, True]
