"""The factories make scikit-learn estimators that can be cloned, set and pickled; importing them costs nothing."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC, SVR

from pegboard import ModelSpec
from pegboard_sklearn import plugin
from pegboard_sklearn.calibration import RareClassCalibrator

MODELS = plugin.register_models()


def data(model: ModelSpec) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 3))
    target = features @ [1.0, -2.0, 0.5]
    return features, target * 1e5 if model.task == "regression" else np.where(target > 0, "yes", "no")


def seeded(model: ModelSpec, **params: Any) -> Any:
    names = inspect.signature(model.make).parameters
    return model.make(**params, **({"random_state": 0} if "random_state" in names else {}))


def answers(estimator: Any, features: Any) -> Any:
    return getattr(estimator, "predict_proba", estimator.predict)(features)


def test_the_plugin_imports_no_scikit_learn() -> None:
    script = "import sys, pegboard_sklearn.plugin as p; p.register_models(), p.register_scorers()\n"
    script += "print(sorted({name.split('.')[0] for name in sys.modules} & {'sklearn', 'scipy', 'numpy', 'pandas'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_model_survives_clone_and_pickle(model: ModelSpec) -> None:
    features, target = data(model)
    fitted = seeded(model).fit(features, target)
    np.testing.assert_array_equal(
        answers(clone(seeded(model)).fit(features, target), features), answers(fitted, features)
    )
    np.testing.assert_array_equal(answers(pickle.loads(pickle.dumps(fitted)), features), answers(fitted, features))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_every_parameter_of_a_factory_reaches_its_estimator(model: ModelSpec) -> None:
    values = {"C": 3.5, "epsilon": 0.25, "gamma": 0.125, "max_iter": 77, "calibration_folds": 3, "n_estimators": 7}
    values |= {"max_depth": 4, "min_samples_leaf": 2, "max_features": 0.5, "random_state": 9}
    for name in inspect.signature(model.make).parameters:
        held = model.make(**{name: values[name]}).get_params(deep=True)
        key = "folds" if name == "calibration_folds" else name
        assert [v for k, v in held.items() if k.split("__")[-1] == key] == [values[name]]


def test_the_svr_sees_a_scaled_target() -> None:
    model = next(m for m in MODELS if m.name == "svr")
    features, target = data(model)
    scaled = float(np.corrcoef(model.make().fit(features, target).predict(features), target)[0, 1])
    bare = float(np.std(SVR().fit(features, target).predict(features)) / np.std(target))
    assert scaled > 0.95
    assert bare < 0.01


def test_with_enough_of_every_class_the_calibration_is_scikit_learns_own() -> None:
    features, target = data(MODELS[3])
    ours = RareClassCalibrator(SVC()).fit(features, target)
    theirs = CalibratedClassifierCV(SVC(), cv=5, ensemble=False).fit(features, target)
    np.testing.assert_array_equal(ours.predict_proba(features), theirs.predict_proba(features))
    assert ours.classes_.tolist() == ["no", "yes"]


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_a_rare_class_is_calibrated_on_what_there_is(members: int) -> None:
    features, target = data(MODELS[3])
    target = target.astype(object)
    target[:members] = "rare"
    with pytest.raises(ValueError, match="less than 5 examples"):
        CalibratedClassifierCV(SVC(), cv=5).fit(features, target)
    fitted = RareClassCalibrator(SVC()).fit(features, target)
    probabilities = fitted.predict_proba(features)
    assert fitted.classes_.tolist() == ["no", "rare", "yes"]
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(target)))
    assert float(np.mean(fitted.predict(features) == target)) > 0.8
