"""What this distribution hangs on the board. scikit-learn is imported when a model or a kernel is made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pegboard import Choice, Float, Integer, Kernel, KernelSpec, ModelSpec, Wants, hookimpl
from pegboard_hist_gradient import models

if TYPE_CHECKING:
    from pegboard.signature import Signature

BOOSTING = {
    "learning_rate": Float(0.01, 0.3, log=True),
    "max_iter": Integer(50, 1000, log=True),
    "max_leaf_nodes": Integer(7, 127, log=True),
    "min_samples_leaf": Integer(5, 100, log=True),
    "max_features": Float(0.4, 1.0),
    "l2_regularization": Float(1e-3, 10.0, log=True),
}
#: Of a scaled target: with 1, no coefficient of a usual table is left.
PENALTIES = {"alpha": Float(1e-4, 0.3, log=True), "l1_ratio": Float(0.05, 1.0)}
#: ``C`` is the inverse of the penalty's weight.
INVERSE = {"C": Float(1e-3, 100.0, log=True), "l1_ratio": Float(0.0, 1.0)}
NEIGHBORS = {
    "n_neighbors": Integer(2, 15),
    "weights": Choice("uniform", "distance"),
    "p": Choice(1, 2),  # city-block and straight distances
}


@hookimpl
def register_models() -> list[ModelSpec]:
    """Three regressors and three classifiers."""
    regressor, classifier = partial(ModelSpec, task="regression"), partial(ModelSpec, task="classification")
    boosting: dict[str, Any] = {"wants": Wants(native=True), "complexity": 10, "space": BOOSTING}
    linear: dict[str, Any] = {"wants": Wants(scaling=True), "complexity": 1}
    neighbors: dict[str, Any] = {"wants": Wants(scaling=True), "complexity": 5, "space": NEIGHBORS}
    trees, near = "gradient boosting on histograms, up to 100 trees", "the nearest training rows"
    mixed = "L1 and L2 penalty"
    return [
        regressor(name="hist-gradient-regressor", make=models.hist_gradient_regressor, summary=trees, **boosting),
        classifier(name="hist-gradient-classifier", make=models.hist_gradient_classifier, summary=trees, **boosting),
        regressor(name="elastic-net", make=models.elastic_net, space=PENALTIES, summary=mixed, **linear),
        classifier(
            name="elastic-net-classifier", make=models.elastic_net_classifier, space=INVERSE, summary=mixed, **linear
        ),
        regressor(name="k-neighbors-regressor", make=models.k_neighbors_regressor, summary=near, **neighbors),
        classifier(name="k-neighbors-classifier", make=models.k_neighbors_classifier, summary=near, **neighbors),
    ]


@hookimpl
def register_kernels() -> list[KernelSpec]:
    """One for each class of histogram gradient boosting; Pegboard itself brings those of linear models."""
    named = {
        "hist-gradient-regressor": "sklearn.ensemble:HistGradientBoostingRegressor",
        "hist-gradient-classifier": "sklearn.ensemble:HistGradientBoostingClassifier",
    }
    summary = "all trees in one call"
    return [KernelSpec(name=name, estimator=path, build=build, summary=summary) for name, path in named.items()]


def build(pipeline: Any, signature: Signature) -> Kernel | None:
    """Compile a fitted pipeline that ends in histogram gradient boosting."""
    from pegboard_hist_gradient import kernel

    return kernel.build(pipeline, signature)
