"""The kernels that Pegboard brings, by the name of scikit-learn's class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pegboard.kernels.encoder import Encoder
from pegboard.kernels.forest import forest
from pegboard.kernels.linear import logistic, regression
from pegboard.kernels.svr import svr
from pegboard.kernels.target import ScaledTarget
from pegboard.signature import Signature
from pegboard.specs import Kernel

REGRESSORS: dict[str, Callable[[Any, Encoder], Kernel | None]] = {
    "LinearRegression": regression,
    "Ridge": regression,
    "Lasso": regression,
    "ElasticNet": regression,
    "SVR": svr,
    "RandomForestRegressor": forest,
    "ExtraTreesRegressor": forest,
}
CLASSIFIERS: dict[str, Callable[[Any, Encoder], Kernel | None]] = {
    "LogisticRegression": logistic,
    "RandomForestClassifier": forest,
    "ExtraTreesClassifier": forest,
}


def build(pipeline: Any, signature: Signature) -> Kernel | None:
    """Compile a fitted pipeline that ends in one of scikit-learn's estimators; ``None`` where it is not known."""
    estimator = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
    encoder = Encoder.of(pipeline, signature)
    if encoder is None:
        return None
    if signature.task == "regression":
        return _regressor(estimator, encoder)
    make = CLASSIFIERS.get(type(estimator).__name__)
    return make(estimator, encoder) if make and list(estimator.classes_) == list(signature.classes) else None


def _regressor(estimator: Any, encoder: Encoder) -> Kernel | None:
    from sklearn.compose import TransformedTargetRegressor

    if type(estimator) is TransformedTargetRegressor:
        return _scaled_back(estimator, encoder)
    # The name is enough for classes that scikit-learn defines: it has no two of one name.
    make = REGRESSORS.get(type(estimator).__name__) if type(estimator).__module__.startswith("sklearn.") else None
    return make(estimator, encoder) if make else None


def _scaled_back(estimator: Any, encoder: Encoder) -> Kernel | None:
    from sklearn.preprocessing import StandardScaler

    scaler = estimator.transformer_
    if type(scaler) is not StandardScaler or scaler.n_features_in_ != 1:
        return None
    kernel = _regressor(estimator.regressor_, encoder)
    scale = 1.0 if scaler.scale_ is None else float(scaler.scale_[0])
    mean = float(scaler.mean_[0]) if scaler.with_mean else 0.0
    return ScaledTarget(kernel, scale, mean) if kernel else None
