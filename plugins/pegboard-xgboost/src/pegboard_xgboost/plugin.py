"""What this distribution hangs on the board. XGBoost is imported when a model or a kernel is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pegboard import Float, Integer, Kernel, KernelSpec, ModelSpec, Wants, hookimpl
from pegboard_xgboost import models

if TYPE_CHECKING:
    from pegboard.signature import Signature

#: Learning rates and numbers of trees belong together; depth and the weight of a leaf say how finely a tree may cut.
SPACE = {
    "learning_rate": Float(0.01, 0.3, log=True),
    "n_estimators": Integer(50, 1000, log=True),
    "max_depth": Integer(3, 10),
    "min_child_weight": Float(0.1, 20.0, log=True),
    "subsample": Float(0.5, 1.0),
    "colsample_bytree": Float(0.4, 1.0),
    "reg_alpha": Float(1e-3, 10.0, log=True),
    "reg_lambda": Float(1e-3, 10.0, log=True),
}


@hookimpl
def register_models() -> list[ModelSpec]:
    """A regressor and a classifier."""
    native = Wants(native=True)
    summary = "gradient boosting, 100 trees grown level by level"
    return [
        ModelSpec(
            name="xgboost-regressor",
            task="regression",
            make=models.regressor,
            wants=native,
            complexity=10,
            space=SPACE,
            summary=summary,
        ),
        ModelSpec(
            name="xgboost-classifier",
            task="classification",
            make=models.classifier,
            wants=native,
            complexity=10,
            space=SPACE,
            summary=summary,
        ),
    ]


@hookimpl
def register_kernels() -> list[KernelSpec]:
    """One for XGBoost's regressor, one for the classifier of this distribution."""
    named = {
        "xgboost-regressor": "xgboost.sklearn:XGBRegressor",
        "xgboost-classifier": "pegboard_xgboost.labels:LabelledXGBClassifier",
    }
    summary = "all trees in one call"
    return [KernelSpec(name=name, estimator=path, build=build, summary=summary) for name, path in named.items()]


def build(pipeline: Any, signature: Signature) -> Kernel | None:
    """Compile a fitted pipeline that ends in one of XGBoost's estimators."""
    from pegboard_xgboost.kernel import compile_pipeline

    return compile_pipeline(pipeline, signature)
