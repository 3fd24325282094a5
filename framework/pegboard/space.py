"""Search spaces: the values that a tuner may try for a parameter, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pegboard.errors import PluginError


class Range:
    """What the kinds of ranges share, for those who ask whether something is one."""


@dataclass(frozen=True, slots=True)
class Float(Range):
    """Numbers from ``low`` to ``high``, both included; with ``log`` every order of magnitude is as likely."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class Integer(Range):
    """Whole numbers from ``low`` to ``high``, both included; with ``log`` every order of magnitude is as likely."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check(self)
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise PluginError(f"{self}: the bounds of an Integer are whole numbers")


@dataclass(frozen=True, slots=True, init=False)
class Choice(Range):
    """One of some values that JSON can hold: ``Choice("l1", "l2")``; no order is assumed among them."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values or not all(value is None or isinstance(value, str | int | float | bool) for value in values):
            raise PluginError(f"Choice{values}: give it texts, numbers, booleans or None, at least one")
        object.__setattr__(self, "values", values)


def _check(given: Float | Integer) -> None:
    if not given.low < given.high:
        raise PluginError(f"{given}: low must be below high")
    if given.log and given.low <= 0:
        raise PluginError(f"{given}: a logarithmic range is above 0")
