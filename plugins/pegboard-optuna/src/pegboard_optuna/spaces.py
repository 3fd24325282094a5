"""Pegboard's ranges as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pegboard import Choice, Float, Integer
from pegboard.errors import PluginError
from pegboard.space import Range

#: In a narrower range logarithms tell its values no better apart than they are, and Optuna's densities lose them.
NARROW = 1 + 1e-6


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """Return a distribution for each range, under the same name."""
    return {name: _distribution(name, values) for name, values in space.items()}


def _distribution(name: str, values: Range) -> BaseDistribution:
    if isinstance(values, Float):
        return FloatDistribution(values.low, values.high, log=_wide(values))
    if isinstance(values, Integer):
        return IntDistribution(values.low, values.high, log=_wide(values))
    if isinstance(values, Choice):
        return CategoricalDistribution(values.values)
    raise PluginError(f"the tuner 'optuna' does not know {type(values).__name__}, the space of {name!r}")


def _wide(values: Float | Integer) -> bool:
    return values.log and values.high > values.low * NARROW
