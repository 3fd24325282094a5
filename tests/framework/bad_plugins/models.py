"""A plugin whose models have a defect each, named by it; and two good ones."""

from __future__ import annotations

from functools import partial

from pegboard import Choice, Float, ModelSpec, Wants, hookimpl


def ridge(alpha=1.0):
    from sklearn.linear_model import Ridge

    return Ridge(alpha=alpha)


def logistic(C=1.0):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=1000)


def estimator(name):
    from bad_plugins import estimators

    return getattr(estimators, name)()


def unclonable(weights=()):
    from bad_plugins.estimators import Unclonable

    return Unclonable(weights)


def penalised(penalty="l2"):
    from bad_plugins.estimators import Penalised

    return Penalised(penalty)


def fits_in_make():
    from sklearn.linear_model import LinearRegression

    LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    return LinearRegression()


def returns_fitted():
    from sklearn.linear_model import LinearRegression

    made = LinearRegression()
    made.coef_ = None
    return made


def reads_in_make():
    from sklearn.linear_model import LinearRegression

    with open(__file__, encoding="utf-8"):
        return LinearRegression()


def drops_parameter(alpha=1.0):
    from sklearn.linear_model import Ridge

    return Ridge()


def of(name):
    """Return the factory of an estimator, without parameters."""

    def make():
        return estimator(name)

    return make


@hookimpl
def register_models():
    regressor = partial(ModelSpec, task="regression", summary="one defect")
    classifier = partial(ModelSpec, task="classification", summary="one defect", wants=Wants(scaling=True))
    return [
        regressor(name="good-regressor", make=ridge, space={"alpha": Float(0.01, 10, log=True)}),
        classifier(name="good-classifier", make=logistic, space={"C": Float(0.1, 10, log=True)}),
        regressor(name="fits-in-make", make=fits_in_make),
        regressor(name="returns-fitted", make=returns_fitted),
        regressor(name="reads-in-make", make=reads_in_make),
        regressor(name="drops-parameter", make=drops_parameter),
        regressor(name="unclonable", make=unclonable),
        regressor(name="wrong-space", make=penalised, space={"penalty": Choice("l1", "l2", "l3")}),
        regressor(name="ignores-seed", make=of("IgnoresSeed")),
        regressor(name="changes-features", make=of("ChangesFeatures")),
        regressor(name="changes-target", make=of("ChangesTarget")),
        regressor(name="refuses-nulls", make=of("RefusesNulls"), wants=Wants(native=True)),
        regressor(name="refuses-unknown", make=of("RefusesUnknown")),
        regressor(name="refuses-constants", make=of("RefusesConstants")),
        regressor(name="refuses-one-row", make=of("RefusesOneRow")),
        regressor(name="refuses-few-rows", make=of("RefusesFewRows")),
        regressor(name="first-column", make=of("FirstColumn")),
        regressor(name="looks-around", make=of("LooksAround")),
        regressor(name="counts-rows", make=of("CountsRows")),
        regressor(name="logarithm", make=of("Logarithm")),
        regressor(name="holds-lambda", make=of("HoldsLambda")),
        regressor(name="forgets", make=of("Forgets")),
        regressor(name="undescribed", make=ridge, summary=""),
        regressor(name="cannot-learn", make=of("NoSuchEstimator")),
        classifier(name="loses-probability", make=of("LoseProbability")),
        classifier(name="backward-classes", make=of("BackwardClasses")),
    ]
