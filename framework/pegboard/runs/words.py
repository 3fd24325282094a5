"""Figures and times as people write them, the same in the report and on the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pegboard.tuning import Tuning


def figure(value: float | None, digits: int | None = None) -> str:
    """Write a score with ``digits`` decimals, or as many as its size asks for; ``-`` for what cannot be known."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{decimals(value) if digits is None else digits}f}"


def decimals(value: float) -> int:
    """Return how many decimals a figure of that size asks for."""
    return 0 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 4


def seconds(value: float) -> str:
    """Write a duration given in seconds."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def tuned(tuning: Tuning) -> str:
    """Say in a line what tuning a model has come to."""
    count = f"{tuning.model}: {len(tuning.trials)} trial{'s' * (len(tuning.trials) != 1)}"
    of_them = {"pruned": tuning.pruned, "failed": tuning.failed, "of earlier runs": tuning.resumed}
    told = "".join(f", {number} {what}" for what, number in of_them.items() if number)
    if tuning.after is None:
        return f"{count}{told}; none has finished"
    values = ", ".join(f"{name} = {value(found)}" for name, found in tuning.params.items())
    return f"{count}{told}; {figure(tuning.before)} before, {figure(tuning.after)} after: {values or 'as it is'}"


def value(parameter: object) -> str:
    """Write a parameter that was found, as short as a reader needs it."""
    return f"{parameter:.4g}" if isinstance(parameter, float) else str(parameter)
