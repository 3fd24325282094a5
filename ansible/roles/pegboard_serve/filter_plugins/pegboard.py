"""What the role needs said of predictions and of hosts, and Jinja says badly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def difference(answered: Sequence[Any], expected: Sequence[Any], tolerance: float) -> str:
    """Say where ``answered`` first differs from ``expected``, or return nothing if it nowhere does.

    Numbers are compared with the relative ``tolerance``; anything else must be equal.
    """
    if len(answered) != len(expected):
        return f"{len(answered)} predictions for {len(expected)} rows"
    rows = [
        row
        for row, pair in enumerate(zip(answered, expected, strict=True), start=1)
        if not _same(*pair, float(tolerance))
    ]
    if not rows:
        return ""
    got, wanted = answered[rows[0] - 1], expected[rows[0] - 1]
    return (
        f"{len(rows)} of {len(expected)} replayed predictions differ; the first is row {rows[0]}: "
        f"it answers {got!r}, the registry has {wanted!r} (relative tolerance {float(tolerance):g})"
    )


def _same(got: Any, wanted: Any, tolerance: float) -> bool:
    if _number(got) and _number(wanted):
        return math.isclose(got, wanted, rel_tol=tolerance)
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return ``rows`` as text: a heading, and a line for each, in columns as wide as they need be."""
    cells = [list(columns), *([str(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


class FilterModule:
    """The filters, by the names that tasks call them by."""

    def filters(self) -> dict[str, Any]:
        """Return them by name, as Ansible asks for them."""
        return {"pegboard_difference": difference, "pegboard_table": table}
