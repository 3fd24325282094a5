"""Stage 6: measure the winner's recipe once on rows that no candidate has seen, then fit it on everything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from joblib import parallel_config
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from pegboard.errors import TrainingError, blamed
from pegboard.frames import plain_label
from pegboard.specs import ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.values import Evaluation, Rows, Split, Table

#: So many rows are kept with what was predicted for them.
MOST_PREDICTIONS = 2000
#: Each column is shuffled so often, on so many rows; within these bounds no more rows than those are predicted in all.
#: What it costs was measured: see docs/runs.md.
REPEATS = 3
SHUFFLED_ROWS = (50, 1000)
MOST_SHUFFLED = 5000
MOST_COLUMNS = 100
#: With more classes than these, neither a table nor a figure could be read.
MOST_CLASSES = 20
BINS = 10

T = TypeVar("T")

logger = logging.getLogger("pegboard")


def evaluate(contender: Contender, table: Table, parts: Split, scorer: ScorerSpec) -> Evaluation:
    """Fit a recipe on the training part and measure it on the hold-out.

    Only the winner meets the hold-out, so its score there is no part of the choice. What a figure needs and cannot be
    had is warned about and costs that figure, not the run.
    """
    if not len(parts.holdout):
        return Evaluation(None, 0)
    with threadpool_limits(1), blamed(f"model {contender.name!r}"):
        recipe = contender.build().fit(*table.rows(parts.train))
        score = _score(recipe, table, parts.holdout, scorer)
        look = _regression if table.signature.task == "regression" else _classification
        figures = _or_none("predictions to show", lambda: look(recipe, table, parts.holdout, contender.seed)) or {}
        if score is not None:
            shuffle = lambda: _importance(recipe, table, parts.holdout, scorer, contender.seed)  # noqa: E731
            figures["importance"] = _or_none("permutation importance", shuffle)
    return Evaluation(score, len(parts.holdout), **figures)


def refit(contender: Contender, table: Table) -> Pipeline:
    """Return the recipe fitted on all rows: what is published."""
    with threadpool_limits(1), blamed(f"model {contender.name!r}"):
        return contender.build().fit(table.features, table.target)


def _score(recipe: Pipeline, table: Table, holdout: Rows, scorer: ScorerSpec) -> float | None:
    """Score the recipe on the hold-out; one too small for the scorer costs that figure, not the run."""
    try:
        score = float(scorer.make()(recipe, *table.rows(holdout)))
    except ValueError as error:
        score, reason = nan, str(error)
    else:
        reason = f"the score is {score}"
    if isfinite(score):
        return score if scorer.greater_is_better else -score
    logger.warning("no %s on the %d rows held out: %s", scorer.name, len(holdout), reason)
    return None


def _or_none(what: str, measure: Callable[[], T]) -> T | None:
    try:
        return measure()
    except Exception as error:
        logger.warning("no %s: %s: %s", what, type(error).__name__, error)
        return None


def _sample(rows: Rows, most: int, seed: int) -> Rows:
    """Return at most so many of the rows, in their order, always the same ones."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _regression(recipe: Pipeline, table: Table, holdout: Rows, seed: int) -> dict[str, Any]:
    features, actual = table.rows(_sample(holdout, MOST_PREDICTIONS, seed))
    predicted = np.asarray(recipe.predict(features), dtype=np.float64)
    shown = np.isfinite(predicted)
    return {"predictions": {"actual": actual[shown].tolist(), "predicted": predicted[shown].tolist()}}


def _classification(recipe: Pipeline, table: Table, holdout: Rows, _: int) -> dict[str, Any]:
    classes = table.signature.classes
    if len(classes) > MOST_CLASSES:
        return {}
    features, actual = table.rows(holdout)
    counts = confusion_matrix(actual, recipe.predict(features), labels=np.asarray(classes, dtype=actual.dtype))
    found: dict[str, Any] = {"confusion": {"classes": list(classes), "counts": counts.tolist()}}
    if hasattr(recipe, "predict_proba"):
        found["calibration"] = _calibration(recipe, recipe.predict_proba(features), actual)
    return found


def _calibration(
    recipe: Pipeline, probabilities: npt.NDArray[np.float64], actual: npt.NDArray[Any]
) -> Sequence[Mapping[str, Any]]:
    """Compare probabilities with frequencies, for each class; of two classes for the second, the positive one."""
    curves = []
    for column, label in list(enumerate(recipe.classes_))[1 if len(recipe.classes_) == 2 else 0 :]:
        observed, predicted = calibration_curve(actual == label, probabilities[:, column], n_bins=BINS)
        curve = {"predicted": predicted.tolist(), "observed": observed.tolist()}
        curves.append({"class": plain_label(label), **curve})
    return curves


def _importance(
    recipe: Pipeline, table: Table, holdout: Rows, scorer: ScorerSpec, seed: int
) -> Sequence[Mapping[str, Any]]:
    """Shuffle one column of the signature at a time, before the preprocessing, and see what it costs."""
    columns, (fewest, most) = table.features.shape[1], SHUFFLED_ROWS
    if columns > MOST_COLUMNS:
        raise TrainingError(f"{columns} columns are too many to shuffle one by one; {MOST_COLUMNS} are the most")
    size = min(most, max(fewest, MOST_SHUFFLED // (columns * REPEATS)))
    features, target = table.rows(_sample(holdout, size, seed))
    # Predicting releases the GIL, as fitting does. Only the columns go over threads: a forest would add its trees up in
    # another order each time.
    with parallel_config("threading", n_jobs=1):
        found = permutation_importance(
            recipe, features, target, scoring=scorer.make(), n_repeats=REPEATS, random_state=seed, n_jobs=-1
        )
    rows = [
        {"column": str(name), "mean": float(mean), "spread": float(spread)}
        for name, mean, spread in zip(features.columns, found.importances_mean, found.importances_std, strict=True)
        if isfinite(mean) and isfinite(spread)
    ]
    return sorted(rows, key=lambda row: (-row["mean"], row["column"]))
