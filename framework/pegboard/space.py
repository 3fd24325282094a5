"""Search spaces: the values that a tuner may try for a parameter, as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from pegboard.errors import PluginError

#: Up to here float64, in which tuners reckon, tells whole numbers apart.
MOST = 2**53


class Range(ABC):
    """What the kinds of ranges share: ``value in range``, and plain data for records."""

    @abstractmethod
    def __contains__(self, value: object) -> bool:
        """Whether a tuner may try this value."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data, which differs where the range does."""


@dataclass(frozen=True, slots=True)
class Float(Range):
    """Numbers from ``low`` to ``high``, both included; with ``log`` every order of magnitude is as likely.

    Its values are of the type ``float``: to some models 1 and 1.0 are different things.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check(self)
        if not isfinite(self.high - self.low):
            raise PluginError(f"{self}: low and high are finite numbers, and so is what lies between them")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float) and self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which differs where the range does."""
        return {"kind": "float", **asdict(self)}


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
        if max(-self.low, self.high, self.high - self.low) > MOST:
            raise PluginError(f"{self}: the bounds of an Integer, and what lies between them, are at most 2**53")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which differs where the range does."""
        return {"kind": "integer", **asdict(self)}


@dataclass(frozen=True, slots=True, init=False)
class Choice(Range):
    """One of some values that JSON can hold: ``Choice("l1", "l2")``; no order is assumed among them."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values or not all(map(_plain, values)):
            raise PluginError(f"Choice{values}: give it texts, finite numbers, booleans or None, at least one")
        if len(set(values)) < len(values):  # 1 and True are one here: a tuner could not tell them apart
            raise PluginError(f"Choice{values}: two of the values are equal")
        object.__setattr__(self, "values", values)

    def __contains__(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which differs where the range does."""
        return {"kind": "choice", "values": list(self.values)}


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or (isinstance(value, int | float) and isfinite(value))


def _check(given: Float | Integer) -> None:
    if not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in (given.low, given.high)):
        raise PluginError(f"{given}: low and high are numbers")
    if not given.low < given.high:
        raise PluginError(f"{given}: low must be below high")
    if given.log and given.low <= 0:
        raise PluginError(f"{given}: a logarithmic range is above 0")
