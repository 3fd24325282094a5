"""What this distribution hangs on the board. LightGBM is imported when a model or a kernel is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pegboard import Float, Integer, Kernel, KernelSpec, ModelSpec, Wants, hookimpl
from pegboard_lightgbm import models

if TYPE_CHECKING:
    from pegboard.signature import Signature

#: Learning rates and numbers of trees belong together; leaves and rows in a leaf say how finely a tree may cut.
SPACE = {
    "learning_rate": Float(0.01, 0.3, log=True),
    "n_estimators": Integer(50, 1000, log=True),
    "num_leaves": Integer(7, 127, log=True),
    "min_child_samples": Integer(5, 100, log=True),
    "subsample": Float(0.5, 1.0),
    "colsample_bytree": Float(0.4, 1.0),
    "reg_alpha": Float(1e-3, 10.0, log=True),
    "reg_lambda": Float(1e-3, 10.0, log=True),
}


@hookimpl
def register_models() -> list[ModelSpec]:
    """A regressor and a classifier."""
    native = Wants(native=True)
    summary = "gradient boosting, 100 trees grown leaf by leaf"
    return [
        ModelSpec(
            name="lightgbm-regressor",
            task="regression",
            make=models.regressor,
            wants=native,
            complexity=10,
            space=SPACE,
            summary=summary,
        ),
        ModelSpec(
            name="lightgbm-classifier",
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
    """One for each class of LightGBM's estimators."""
    named = {"lightgbm-regressor": "LGBMRegressor", "lightgbm-classifier": "LGBMClassifier"}
    return [
        KernelSpec(name=name, estimator=f"lightgbm.sklearn:{estimator}", build=build, summary="LightGBM's C interface")
        for name, estimator in named.items()
    ]


def build(pipeline: Any, signature: Signature) -> Kernel | None:
    """Compile a fitted pipeline that ends in one of LightGBM's estimators."""
    from pegboard_lightgbm import kernel

    return kernel.build(pipeline, signature)
