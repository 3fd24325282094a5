"""Figures and times as people write them, the same in the report and on the terminal."""

from __future__ import annotations

import math


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
