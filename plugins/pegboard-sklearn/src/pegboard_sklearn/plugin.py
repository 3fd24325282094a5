"""What this distribution hangs on the board. scikit-learn is imported when a model or a scorer is made."""

from __future__ import annotations

from functools import partial

from pegboard import ModelSpec, ScorerSpec, Wants, hookimpl
from pegboard_sklearn import models, scorers


@hookimpl
def register_models() -> list[ModelSpec]:
    """Three regressors and three classifiers."""
    regressor, classifier = (partial(ModelSpec, task=task) for task in ("regression", "classification"))
    linear, kernel = ({"wants": Wants(scaling=True), "complexity": complexity} for complexity in (1, 5))
    return [
        regressor(name="linear-regression", make=models.linear_regression, summary="ordinary least squares", **linear),
        regressor(name="svr", make=models.svr, summary="RBF kernel, on a scaled target", **kernel),
        regressor(
            name="random-forest-regressor", make=models.random_forest_regressor, complexity=10, summary="100 trees"
        ),
        classifier(name="logistic-regression", make=models.logistic_regression, summary="L2 penalty", **linear),
        classifier(name="svc", make=models.svc, summary="RBF kernel, calibrated probabilities", **kernel),
        classifier(
            name="random-forest-classifier", make=models.random_forest_classifier, complexity=10, summary="100 trees"
        ),
    ]


@hookimpl
def register_scorers() -> list[ScorerSpec]:
    """Errors are shown positive; scores lie between their worst and 1."""
    error = partial(ScorerSpec, tasks=("regression",), greater_is_better=False)
    classification = partial(ScorerSpec, tasks=("classification",))
    return [
        error(name="rmse", make=scorers.rmse, summary="root mean squared error, in the target's unit"),
        error(name="mae", make=scorers.mae, summary="mean absolute error, in the target's unit"),
        error(name="mape", make=scorers.mape, summary="mean absolute percentage error, as a fraction"),
        ScorerSpec(name="r2", tasks=("regression",), make=scorers.r2, summary="coefficient of determination"),
        classification(
            name="log-loss",
            make=scorers.log_loss,
            greater_is_better=False,
            summary="negative log-likelihood of the true class, in nats",
        ),
        classification(name="accuracy", make=scorers.accuracy, summary="share of right labels"),
        classification(
            name="roc-auc", make=scorers.roc_auc, summary="area under the ROC curve, each class against the rest"
        ),
        classification(name="f1", make=scorers.f1, summary="F1, averaged over the classes"),
    ]
