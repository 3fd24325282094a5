"""The pytest plugin: conformance findings at the end of a run, as a checklist.

pytest loads it in every project of an environment that has Pegboard, so nothing is imported before there is a finding.
"""

from __future__ import annotations

from typing import Any

#: As :data:`pegboard.testing.suite.PROPERTY`, which is not imported for runs that have nothing to do with Pegboard.
PROPERTY = "pegboard"
_MARKUP = {"heading": {"bold": True}, "passed": {"green": True}, "failed": {"red": True}, "not run": {"yellow": True}}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write a checklist of the conformance findings, if there are any."""
    found = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and getattr(report, "when", "") == "call"
    ]
    if found:
        _write(terminalreporter, found)


def _write(terminalreporter: Any, found: list[dict[str, Any]]) -> None:
    from pegboard.testing import checks  # noqa: F401 - they know their order, which pytest's reports do not keep
    from pegboard.testing.checklist import checklist, total
    from pegboard.testing.kit import CHECKS, Finding

    order = list(CHECKS)
    findings = [Finding(**value) for value in found]
    for plugin in dict.fromkeys(finding.plugin for finding in findings):
        theirs = [finding for finding in findings if finding.plugin == plugin]
        theirs.sort(key=lambda f: (order.index((f.kind, f.check)), f.name))
        theirs.sort(key=lambda f: (list(dict.fromkeys(kind for kind, _ in order)).index(f.kind), f.name))
        terminalreporter.section(f"conformance of {plugin}")
        for line in checklist(theirs):
            terminalreporter.write_line(line.text, **_MARKUP[line.style])
        terminalreporter.write_line(total(theirs))
