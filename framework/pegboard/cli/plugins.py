"""``pegboard plugins``."""

from __future__ import annotations

from dataclasses import asdict

import click

from pegboard.catalog import Entry
from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, print_json, table
from pegboard.specs import ModelSpec, Spec


@click.group()
def plugins() -> None:
    """See what hangs on the board."""


@plugins.command("list")
@as_json
@click.pass_obj
def list_(board: Board, /, as_json: bool) -> None:
    """List the loaded plugins and everything they register."""
    problems = board.catalog.problems
    entries = board.catalog.entries()
    if as_json:
        things = [
            {"kind": e.spec.kind, "name": e.spec.name, "summary": e.spec.summary, "plugin": e.plugin.name}
            | ({"task": e.spec.task} if hasattr(e.spec, "task") else {})
            for e in entries
        ]
        loaded = [asdict(plugin) for plugin in board.manager.plugins]
        print_json({"plugins": loaded, "registered": things, "problems": [asdict(p) for p in problems]})
        return
    out = console()
    for plugin in board.manager.plugins:
        out.print(f"{plugin.name}  {plugin.distribution or 'pegboard itself'} {plugin.version}".rstrip(), style="bold")
    shown = table("kind", "name", "plugin", "summary")
    for entry in sorted(entries, key=_order):
        shown.add_row(_kind(entry.spec), entry.spec.name, entry.plugin.name, entry.spec.summary)
    for column in shown.columns[:3]:
        column.no_wrap = True
    out.print(shown)


def _kind(spec: Spec) -> str:
    return f"{spec.task} {spec.kind}" if isinstance(spec, ModelSpec) else spec.kind


def _order(entry: Entry[Spec]) -> tuple[str, str, str]:
    return entry.spec.kind, _kind(entry.spec), entry.spec.name
