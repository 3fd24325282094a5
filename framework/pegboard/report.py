"""What validation found, in our own words: no Great Expectations object leaves the stage that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation and what came of it.

    ``origin`` says who expects it: ``source``, ``signature``, or the version whose training data is compared with.
    ``unexpected`` counts rows that break it, ``examples`` shows some of their values, ``rows`` their positions.
    """

    expectation: str
    column: str | None
    origin: str
    severity: Severity
    success: bool
    kwargs: Mapping[str, Any]
    unexpected: int | None = None
    examples: tuple[Any, ...] = ()
    rows: tuple[int, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        column = f" on {self.column!r}" if self.column else ""
        found = f": {self.unexpected} row{'s' * (self.unexpected != 1)}" if self.unexpected is not None else ""
        examples = f", such as {', '.join(map(repr, self.examples))}" if self.examples else ""
        places = f" (row {', '.join(map(str, self.rows))})" if self.rows else ""
        detail = f": {self.detail}" if self.detail else ""
        expected = ", ".join(f"{k}={_short(v)}" for k, v in self.kwargs.items() if k != "column")
        expected = f" ({expected})" if expected else ""
        return f"[{self.severity}] {self.expectation}{column}{expected}{found}{examples}{places}{detail}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Every expectation's finding; the data passes when no critical one failed."""

    rows: int
    findings: tuple[Finding, ...]

    @property
    def success(self) -> bool:
        """Whether every critical expectation holds."""
        return not any(f.severity == "critical" for f in self.failed)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The expectations that do not hold, critical ones first."""
        order = {"critical": 0, "warning": 1, "info": 2}
        return tuple(sorted((f for f in self.findings if not f.success), key=lambda f: order[f.severity]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the bundle and for ``--json``."""
        return {"success": self.success, "rows": self.rows, "findings": [asdict(f) for f in self.findings]}
