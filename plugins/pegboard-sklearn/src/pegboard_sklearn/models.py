"""The factories. Their keyword arguments are what ``[models.NAME]`` may set."""

from __future__ import annotations

from typing import Any


def linear_regression() -> Any:
    """Ordinary least squares."""
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def svr(C: float = 1.0, epsilon: float = 0.1, gamma: str | float = "scale") -> Any:  # noqa: N803 - the field's name
    """Support vector regression; the target is scaled, because ``epsilon`` and ``C`` are in its unit."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    return TransformedTargetRegressor(SVR(C=C, epsilon=epsilon, gamma=gamma), transformer=StandardScaler())


def random_forest_regressor(
    n_estimators: int = 100,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
    max_features: float | str = 1.0,
    random_state: int | None = None,
) -> Any:
    """Build a random forest of regression trees."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(
        n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features=max_features,
        random_state=random_state,
    )


def logistic_regression(C: float = 1.0, max_iter: int = 1000) -> Any:  # noqa: N803 - the field's name
    """Multinomial logistic regression with an L2 penalty."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=max_iter)


def svc(C: float = 1.0, gamma: str | float = "scale", calibration_folds: int = 5) -> Any:  # noqa: N803
    """Support vector classification whose decision values are calibrated to probabilities."""
    from sklearn.svm import SVC

    from pegboard_sklearn.calibration import RareClassCalibrator

    return RareClassCalibrator(SVC(C=C, gamma=gamma), folds=calibration_folds)


def random_forest_classifier(
    n_estimators: int = 100,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
    max_features: float | str = "sqrt",
    random_state: int | None = None,
) -> Any:
    """Build a random forest of classification trees."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features=max_features,
        random_state=random_state,
    )
