"""What this distribution hangs on the board. scikit-learn is imported when a model or a scorer is made."""

from __future__ import annotations

from functools import partial

from pegboard import Choice, Float, Integer, ModelSpec, ScorerSpec, Wants, hookimpl
from pegboard_sklearn import models, scorers


@hookimpl
def register_models() -> list[ModelSpec]:
    """Three regressors and three classifiers."""
    regressor, classifier = partial(ModelSpec, task="regression"), partial(ModelSpec, task="classification")
    scaled = Wants(scaling=True)
    ols, l2, trees = "ordinary least squares", "L2 penalty", "100 trees"
    rbf, calibrated = "RBF kernel, on a scaled target", "RBF kernel, calibrated probabilities"
    # A support vector machine's own gamma, "scale", is no number: where it is tuned, it is still what comes first.
    kernel = {"C": Float(0.01, 1000.0, log=True), "gamma": Float(1e-4, 1.0, log=True)}
    # More trees are never worse, only slower, so their number is not searched.
    forest = {"max_depth": Choice(None, 4, 8, 16), "min_samples_leaf": Integer(1, 20, log=True)}
    return [
        regressor(name="linear-regression", make=models.linear_regression, wants=scaled, complexity=1, summary=ols),
        regressor(
            name="svr",
            make=models.svr,
            wants=scaled,
            complexity=5,
            summary=rbf,
            space={**kernel, "epsilon": Float(0.001, 1.0, log=True)},
        ),
        regressor(
            name="random-forest-regressor",
            make=models.random_forest_regressor,
            complexity=10,
            summary=trees,
            space={**forest, "max_features": Float(0.1, 1.0)},
        ),
        classifier(
            name="logistic-regression",
            make=models.logistic_regression,
            wants=scaled,
            complexity=1,
            summary=l2,
            space={"C": Float(1e-4, 1e4, log=True)},
        ),
        classifier(name="svc", make=models.svc, wants=scaled, complexity=5, summary=calibrated, space=kernel),
        classifier(
            name="random-forest-classifier",
            make=models.random_forest_classifier,
            complexity=10,
            summary=trees,
            space={**forest, "max_features": Choice("sqrt", "log2", 0.5, 1.0)},
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
        classification(name="roc-auc", make=scorers.roc_auc, summary="area under the ROC curve, one against the rest"),
        classification(name="f1", make=scorers.f1, summary="F1, averaged over the classes"),
    ]
