"""The factories. Their keyword arguments are what ``[models.NAME]`` may set."""

from __future__ import annotations

from typing import Any


def hist_gradient_regressor(
    loss: str = "squared_error",
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    max_depth: int | None = None,
    min_samples_leaf: int = 20,
    l2_regularization: float = 0.0,
    max_features: float = 1.0,
    early_stopping: str | bool = "auto",
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of regression trees on histograms; ``early_stopping`` is scikit-learn's."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        l2_regularization=l2_regularization,
        max_features=max_features,
        early_stopping=early_stopping,
        random_state=random_state,
    )


def hist_gradient_classifier(
    class_weight: str | None = None,
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    max_depth: int | None = None,
    min_samples_leaf: int = 20,
    l2_regularization: float = 0.0,
    max_features: float = 1.0,
    early_stopping: str | bool = "auto",
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of classification trees on histograms; ``early_stopping`` is scikit-learn's."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        class_weight=class_weight,
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        l2_regularization=l2_regularization,
        max_features=max_features,
        early_stopping=early_stopping,
        random_state=random_state,
    )


def elastic_net(alpha: float = 0.01, l1_ratio: float = 0.5, max_iter: int = 10_000) -> Any:
    """Linear regression with an L1 and an L2 penalty; the target is scaled, because ``alpha`` is in its unit."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import ElasticNet
    from sklearn.preprocessing import StandardScaler

    net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, max_iter=max_iter)
    return TransformedTargetRegressor(net, transformer=StandardScaler())


def elastic_net_classifier(
    C: float = 1.0,  # noqa: N803 - the field's name
    l1_ratio: float = 0.5,
    max_iter: int = 2000,
    tol: float = 1e-3,
    random_state: int | None = None,
) -> Any:
    """Multinomial logistic regression with an L1 and an L2 penalty."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        solver="saga", C=C, l1_ratio=l1_ratio, max_iter=max_iter, tol=tol, random_state=random_state
    )


def k_neighbors_regressor(n_neighbors: int = 5, weights: str = "uniform", p: float = 2) -> Any:
    """Predict the mean of the nearest training rows' targets; ``weights="distance"`` lets nearer ones weigh more."""
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(n_neighbors, weights=weights, p=p)


def k_neighbors_classifier(n_neighbors: int = 5, weights: str = "uniform", p: float = 2) -> Any:
    """Predict the shares of classes among the nearest training rows."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(n_neighbors, weights=weights, p=p)
