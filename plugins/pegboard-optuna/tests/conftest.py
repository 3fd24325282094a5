"""Searches of a model that is a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pegboard import Choice, Float, Integer
from pegboard.space import Range
from pegboard.tuning import Budget, Search, Tuned
from pegboard_optuna.plugin import register_tuners

FOLDS = 5
SPACE: Mapping[str, Range] = {"rate": Float(0.01, 1.0, log=True), "depth": Integer(1, 20), "kind": Choice("a", None)}
#: Without a rate: what the factory has is outside of the space.
DEFAULTS: Mapping[str, Any] = {"depth": 20, "kind": "a"}

Scoring = Callable[[Mapping[str, Any], int], float]


def loss(params: Mapping[str, Any], fold: int) -> float:
    """Return an error that is least at depth 5 and rate 0.3; every fold is harder than the one before."""
    return (params["depth"] - 5) ** 2 + abs(params.get("rate", 7.0) - 0.3) + (params["kind"] is None) + 1000 * fold


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    """Make a search by a formula, its journal in the test's directory."""

    def make(trials: int | None = 20, *, score: Scoring = loss, **changed: Any) -> Search:
        def evaluate(params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
            scores: list[float] = []
            for fold in range(FOLDS):
                scores.append(score(params, fold))
                if not after_fold(fold, scores[-1]):
                    break
            return tuple(scores)

        told: dict[str, Any] = {
            "model": "formula",
            "space": SPACE,
            "defaults": DEFAULTS,
            "greater_is_better": False,
            "folds": FOLDS,
            "seed": 0,
            "budget": Budget(trials=trials) if trials else Budget(seconds=60),
            "identity": "0123456789abcdef" * 4,
            "directory": tmp_path / "tuning",
            "evaluate": evaluate,
            "on_trial": lambda _: None,
        }
        return Search(**{**told, **changed})

    return make


@pytest.fixture
def tune() -> Callable[[Search], Tuned]:
    """Search with the tuner that the plugin registers."""
    (tuner,) = register_tuners()
    return tuner.tune
