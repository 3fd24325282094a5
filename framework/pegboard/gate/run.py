"""Asks every rule of an environment's gate about a version."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pegboard.catalog import Catalog
from pegboard.errors import ConfigError, PegboardError, PluginError, did_you_mean
from pegboard.gate.rule import Finding, GateReport, Outcome, Promotion
from pegboard.specs import RuleSpec

#: The rule that comes with another distribution, and how that is installed.
SERVING = "serving"
INSTALL = "pip install pegboard-serve"


class GateRefused(PegboardError):
    """A version does not pass the gate; what was found is in :attr:`report`."""

    def __init__(self, report: GateReport) -> None:
        self.report = report
        failed = "\n  ".join(map(_line, report.failed))
        do = "does" if len(report.failed) == 1 else "do"
        of = f"{len(report.failed)} of {len(report.findings)} rules {do} not hold"
        super().__init__(
            f"{report.version} is not promoted to {report.environment}: {of}:\n  {failed}\n"
            "train a better version, or compare on newer labelled rows (--data FILE); "
            "--force --reason TEXT promotes all the same, and is on the record"
        )


class Listener:
    """Told how a gate goes on; this one does not care."""

    def begins(self, rule: str, number: int, total: int) -> None:
        """Note that a rule is asked, the ``number``-th of so many."""

    def ends(self, finding: Finding) -> None:
        """Note what it has found."""


def run_gate(promotion: Promotion, listener: Listener | None = None) -> GateReport:
    """Ask every rule that the environment names, in its order, and return what was found.

    A rule that raises is one that does not hold, and the others are asked all the same. Raises
    :class:`~pegboard.errors.ConfigError` for a rule that nobody has registered, before any is asked.
    """
    listener, environment = listener or Listener(), promotion.environment
    rules = [(name, _find(name, promotion.catalog, environment.name)) for name in environment.gate.rules]
    findings = []
    for number, (name, rule) in enumerate(rules, start=1):
        listener.begins(name, number, len(rules))
        findings.append(_finding(name, _asked(rule, promotion)))
        listener.ends(findings[-1])
    return GateReport(
        version=str(promotion.version),
        digest=promotion.version.digest,
        environment=environment.name,
        champion=None if promotion.champion is None else str(promotion.champion),
        findings=tuple(findings),
    )


def _find(name: str, catalog: Catalog, environment: str) -> RuleSpec | None:
    rule = catalog.find(RuleSpec, name)
    if rule is None and name != SERVING:
        known = _known(catalog.names(RuleSpec))
        hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise ConfigError(f"[environments.{environment}.gate]: no rule is called {name!r}{hint}")
    return rule


def _known(names: Sequence[str]) -> list[str]:
    return sorted({*names, SERVING})


def _asked(rule: RuleSpec | None, promotion: Promotion) -> Outcome:
    if rule is None:
        return Outcome(False, f"nothing is installed that could serve it here: {INSTALL}")
    try:
        return _checked(rule.check(promotion))
    except PegboardError as error:
        return Outcome(False, str(error))
    except (Exception, SystemExit) as error:
        return Outcome(False, f"the rule failed: {type(error).__name__}: {error}")


def _checked(outcome: Outcome) -> Outcome:
    """Refuse what the ledger could not keep."""
    if not isinstance(outcome, Outcome):
        raise PluginError(f"the rule gave a {type(outcome).__name__}, not an Outcome")
    try:
        json.dumps([outcome.passed, outcome.found, outcome.limit, dict(outcome.figures or {})], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PluginError(f"the rule gave what is no plain JSON: {error}") from error
    return outcome


def _finding(name: str, outcome: Outcome) -> Finding:
    return Finding(name, outcome.passed, outcome.found, outcome.limit, dict(outcome.figures or {}))


def _line(finding: Finding) -> str:
    return f"{finding.rule}: {finding.found}" + (f" (allowed: {finding.limit})" if finding.limit else "")
