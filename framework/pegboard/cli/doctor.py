"""``pegboard plugins doctor``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import click

from pegboard import hookspecs
from pegboard.cli.main import Board
from pegboard.cli.output import console, print_json
from pegboard.cli.places import find_registry, registry_flags
from pegboard.diagnosis import Finding, diagnose, diagnose_bundle
from pegboard.errors import PluginError

_MARKS = {"ok": ("✓", "green"), "skipped": ("-", "dim"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}


@click.command()
@click.option("--model", metavar="VERSION", help="Also look whether what this published version needs is installed.")
@registry_flags
@click.pass_obj
def doctor(
    board: Board, /, model: str | None, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Check every installed plugin, and say whose fault it is and what helps; exit status 1 if something is wrong."""
    found = tuple(entry_points(group=hookspecs.PROJECT))
    findings = diagnose(board.catalog, board.manager, found)
    if model is not None:
        holds = find_registry(registry, config, env)
        version = holds.resolve(model)
        findings += diagnose_bundle(holds.open(version), str(version))
    wrong = sum(finding.status == "wrong" for finding in findings)
    if as_json:
        print_json({"ok": not wrong, "findings": [finding.to_dict() for finding in findings]})
    else:
        _print(findings)
    if wrong:
        raise PluginError(f"{wrong} of {len(findings)} checks found something wrong")


def _print(findings: Sequence[Finding]) -> None:
    from rich.text import Text

    out, checks = console(), Counter(finding.check for finding in findings)
    for check in checks:
        out.print(check, style="bold")
        for finding in findings:
            if finding.check == check:
                mark, style = _MARKS[finding.status]
                head = Text.assemble((mark, style), f" {finding.subject}: {finding.message}")
                out.print(head, soft_wrap=True)
                for label, said in (("at", finding.where), ("remedy:", finding.remedy)):
                    if said:
                        out.print(f"    {label} {said}", soft_wrap=True)
