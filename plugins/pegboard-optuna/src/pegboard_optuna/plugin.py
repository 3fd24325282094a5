"""What this distribution hangs on the board. Optuna is imported when there is something to tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegboard import TunerSpec, hookimpl

if TYPE_CHECKING:
    from pegboard.tuning import Search, Tuned


@hookimpl
def register_tuners() -> list[TunerSpec]:
    """Give one tuner, under Optuna's name."""
    return [TunerSpec(name="optuna", tune=_tune, summary="tree-structured Parzen estimator, hopeless trials pruned")]


def _tune(search: Search) -> Tuned:
    from pegboard_optuna.searching import tune

    return tune(search)
