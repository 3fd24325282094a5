"""``pegboard plugins check``: the conformance kit on the command line."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, print_json
from pegboard.errors import ConfigError

if TYPE_CHECKING:
    from pegboard.testing.kit import Case, Finding, Kit

_STYLES = {"heading": "bold", "passed": "green", "failed": "red", "not run": "yellow"}


@click.command()
@click.argument("name")
@click.option(
    "--only", "only", multiple=True, metavar="CHECK", help="Run only this check, and what it needs. Repeatable."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SOURCE.OPTION=VALUE",
    help="Set an option of a source that is checked; VALUE is TOML, or else a text. Repeatable.",
)
@as_json
@click.pass_context
def check(ctx: click.Context, /, name: str, only: Sequence[str], settings: Sequence[str], as_json: bool) -> None:
    """Check that what a plugin registers behaves: NAME is the plugin's name, or its distribution's.

    Exit status 1 if a check fails.
    """
    board: Board = ctx.obj
    options = _options(settings)
    try:
        from pegboard.testing import checks  # noqa: F401 - each registers itself
    except ModuleNotFoundError as error:
        raise ConfigError(f"the checks need {error.name}: pip install 'pegboard[train,testing]'") from error
    from pegboard.testing.board import make_kit

    kit = make_kit(name, board.manager, options)
    findings = list(_shown(kit, kit.cases(only)))
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        _print(findings)
    ctx.exit(int(any(finding.passed is False for finding in findings)))


def _options(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = defaultdict(dict)
    for text in settings:
        place, equals, value = text.partition("=")
        source, dot, option = place.partition(".")
        if not (equals and dot and source and option):
            raise ConfigError(f"--set {text!r}: write SOURCE.OPTION=VALUE")
        try:
            options[source][option] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[source][option] = value
    return options


def _shown(kit: Kit, cases: Sequence[Case]) -> Iterator[Finding]:
    """Run the cases, showing on standard error which one is running."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    to = console(stderr=True)
    with Progress(*columns, console=to, transient=True, disable=not to.is_terminal) as bar:
        task = bar.add_task("", total=len(cases))
        for case in cases:
            bar.update(task, description=str(case))
            yield kit.run(case)
            bar.advance(task)


def _print(findings: Sequence[Finding]) -> None:
    from rich.text import Text

    from pegboard.testing.checklist import checklist, total

    out = console()
    for line in checklist(findings):
        out.print(Text(line.text, style=_STYLES[line.style]), soft_wrap=True)
    out.print(total(findings), style="bold")
