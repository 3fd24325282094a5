"""The factories. Their keyword arguments are what ``[models.NAME]`` may set; their defaults are XGBoost's own."""

from __future__ import annotations

from typing import Any

#: Silent, on the processor, and with the columns' own categories.
SETTINGS: dict[str, Any] = {"verbosity": 0, "device": "cpu", "tree_method": "hist", "enable_categorical": True}


def regressor(
    objective: str = "reg:squarederror",
    n_estimators: int = 100,
    learning_rate: float = 0.3,
    max_depth: int = 6,
    min_child_weight: float = 1.0,
    subsample: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_alpha: float = 0.0,
    reg_lambda: float = 1.0,
    n_jobs: int = 1,
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of regression trees; ``objective`` is XGBoost's name of a loss."""
    from xgboost import XGBRegressor

    return XGBRegressor(
        objective=objective,
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        max_depth=max_depth,
        min_child_weight=min_child_weight,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        reg_alpha=reg_alpha,
        reg_lambda=reg_lambda,
        n_jobs=n_jobs,
        random_state=random_state,
        **SETTINGS,
    )


def classifier(
    n_estimators: int = 100,
    learning_rate: float = 0.3,
    max_depth: int = 6,
    min_child_weight: float = 1.0,
    subsample: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_alpha: float = 0.0,
    reg_lambda: float = 1.0,
    n_jobs: int = 1,
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of classification trees, for labels of any kind."""
    from pegboard_xgboost.labels import LabelledXGBClassifier

    return LabelledXGBClassifier(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        max_depth=max_depth,
        min_child_weight=min_child_weight,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        reg_alpha=reg_alpha,
        reg_lambda=reg_lambda,
        n_jobs=n_jobs,
        random_state=random_state,
        **SETTINGS,
    )
