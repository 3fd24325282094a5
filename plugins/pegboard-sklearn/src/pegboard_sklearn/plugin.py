"""What this distribution hangs on the board. scikit-learn is imported when a model or a scorer is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegboard import ModelSpec, ScorerSpec, Wants, hookimpl
from pegboard_sklearn import models, scorers

if TYPE_CHECKING:
    from pegboard.specs import Task


@hookimpl
def register_models() -> list[ModelSpec]:
    """Three regressors and three classifiers."""
    scaled = Wants(scaling=True)
    return [
        ModelSpec(
            name="linear-regression",
            task="regression",
            make=models.linear_regression,
            wants=scaled,
            complexity=1,
            summary="ordinary least squares",
        ),
        ModelSpec(
            name="svr",
            task="regression",
            make=models.svr,
            wants=scaled,
            complexity=5,
            summary="support vector regression, RBF kernel, on a scaled target",
        ),
        ModelSpec(
            name="random-forest-regressor",
            task="regression",
            make=models.random_forest_regressor,
            complexity=10,
            summary="100 trees",
        ),
        ModelSpec(
            name="logistic-regression",
            task="classification",
            make=models.logistic_regression,
            wants=scaled,
            complexity=1,
            summary="multinomial logistic regression, L2",
        ),
        ModelSpec(
            name="svc",
            task="classification",
            make=models.svc,
            wants=scaled,
            complexity=5,
            summary="support vector classification, RBF kernel, calibrated probabilities",
        ),
        ModelSpec(
            name="random-forest-classifier",
            task="classification",
            make=models.random_forest_classifier,
            complexity=10,
            summary="100 trees",
        ),
    ]


@hookimpl
def register_scorers() -> list[ScorerSpec]:
    """Errors are shown positive; scores lie between their worst and 1."""
    regression: tuple[Task, ...] = ("regression",)
    classification: tuple[Task, ...] = ("classification",)
    return [
        ScorerSpec(
            name="rmse",
            tasks=regression,
            make=scorers.rmse,
            greater_is_better=False,
            summary="root mean squared error, in the target's unit",
        ),
        ScorerSpec(
            name="mae",
            tasks=regression,
            make=scorers.mae,
            greater_is_better=False,
            summary="mean absolute error, in the target's unit",
        ),
        ScorerSpec(
            name="mape",
            tasks=regression,
            make=scorers.mape,
            greater_is_better=False,
            summary="mean absolute percentage error, as a fraction",
        ),
        ScorerSpec(name="r2", tasks=regression, make=scorers.r2, summary="coefficient of determination"),
        ScorerSpec(
            name="log-loss",
            tasks=classification,
            make=scorers.log_loss,
            greater_is_better=False,
            summary="negative log-likelihood of the true class, in nats",
        ),
        ScorerSpec(name="accuracy", tasks=classification, make=scorers.accuracy, summary="share of right labels"),
        ScorerSpec(
            name="roc-auc",
            tasks=classification,
            make=scorers.roc_auc,
            summary="area under the ROC curve; the mean of one class against the rest for more than two",
        ),
        ScorerSpec(
            name="f1",
            tasks=classification,
            make=scorers.f1,
            summary="harmonic mean of precision and recall, averaged over the classes",
        ),
    ]
