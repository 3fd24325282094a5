"""What the server may be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``model`` is ``name``, ``name/7`` or ``name@alias`` in the registry at ``registry``.

    A request may have ``max_body`` bytes and ``max_rows`` rows; more is refused with 413.
    """

    model: str
    registry: str
    max_body: int = 16 * 2**20
    max_rows: int = 10_000
