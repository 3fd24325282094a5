"""Findings as a checklist: thing by thing, check by check, and for what fails the reason and an example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import indent
from typing import Literal, NamedTuple

from pegboard.testing.kit import Finding

MARKS = {True: "✓", False: "✗", None: "-"}

Style = Literal["heading", "passed", "failed", "not run"]
STYLES: dict[bool | None, Style] = {True: "passed", False: "failed", None: "not run"}


class Line(NamedTuple):
    """A line of the checklist, and what it is about."""

    text: str
    style: Style


def checklist(findings: Iterable[Finding]) -> Iterator[Line]:
    """Yield the lines, each thing under its own heading."""
    for (kind, name), group in groupby(findings, key=lambda f: (f.kind, f.name)):
        yield Line(f"{kind} {name}", "heading")
        for finding in group:
            yield Line(f"  {MARKS[finding.passed]} {finding.check:<28} {_said(finding)}", STYLES[finding.passed])
            if finding.passed is False:
                yield from (Line(line, "failed") for line in indent(explained(finding), " " * 6).splitlines())


def explained(finding: Finding) -> str:
    """Say what is wrong, and show the example."""
    what = f"{finding.kind} {finding.name!r}: {finding.check} ({finding.summary}) does not hold:\n{finding.problem}"
    return f"{what}\n{indent(finding.example, '  ')}" if finding.example else what


def total(findings: Sequence[Finding]) -> str:
    """Say how many hold, fail, and were not run."""
    counts = {passed: sum(f.passed is passed for f in findings) for passed in (True, False, None)}
    left = f", {counts[None]} not run" if counts[None] else ""
    return f"{counts[True]} of {len(findings)} checks hold, {counts[False]} fail{'s' * (counts[False] == 1)}{left}"


def _said(finding: Finding) -> str:
    if finding.passed is None:
        return finding.problem
    return f"{finding.summary} ({finding.note})" if finding.note else finding.summary
