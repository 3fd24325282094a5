"""The factories. Their keyword arguments are what ``[models.NAME]`` may set; their defaults are LightGBM's own.

``subsample`` is what LightGBM ignores unless rows are drawn for every so many trees: here they are for every tree.
"""

from __future__ import annotations

from typing import Any

#: Silent; the same bits each time; rows are drawn for every tree, which changes nothing while all of them are.
SETTINGS: dict[str, Any] = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "subsample_freq": 1}


def regressor(
    objective: str = "regression",
    n_estimators: int = 100,
    learning_rate: float = 0.1,
    num_leaves: int = 31,
    max_depth: int = -1,
    min_child_samples: int = 20,
    subsample: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_alpha: float = 0.0,
    reg_lambda: float = 0.0,
    n_jobs: int = 1,
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of regression trees; ``objective`` is LightGBM's name of a loss."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        objective=objective,
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        max_depth=max_depth,
        min_child_samples=min_child_samples,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        reg_alpha=reg_alpha,
        reg_lambda=reg_lambda,
        n_jobs=n_jobs,
        random_state=random_state,
        **SETTINGS,
    )


def classifier(
    class_weight: str | None = None,
    n_estimators: int = 100,
    learning_rate: float = 0.1,
    num_leaves: int = 31,
    max_depth: int = -1,
    min_child_samples: int = 20,
    subsample: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_alpha: float = 0.0,
    reg_lambda: float = 0.0,
    n_jobs: int = 1,
    random_state: int | None = None,
) -> Any:
    """Gradient boosting of classification trees; with ``class_weight="balanced"`` every class weighs the same."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        class_weight=class_weight,
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        max_depth=max_depth,
        min_child_samples=min_child_samples,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        reg_alpha=reg_alpha,
        reg_lambda=reg_lambda,
        n_jobs=n_jobs,
        random_state=random_state,
        **SETTINGS,
    )
