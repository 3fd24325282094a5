"""``pegboard plugins``."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from typing import Any

import click

from pegboard.catalog import Entry
from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, print_json, table
from pegboard.manager import Plugin
from pegboard.specs import ModelSpec, Spec

#: Imported when they are called, so that the list stays light.
_ELSEWHERE = {"check": "pegboard.cli.check", "doctor": "pegboard.cli.doctor"}


class _Plugins(click.Group):
    """A group some of whose subcommands are in modules of their own, as an attribute of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            command: click.Command = getattr(import_module(_ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Plugins)
def plugins() -> None:
    """See what hangs on the board."""


@plugins.command("list")
@as_json
@click.pass_obj
def list_(board: Board, /, as_json: bool) -> None:
    """List the loaded plugins, where each came from, how long its import took, and everything they register."""
    problems = board.catalog.problems
    entries = board.catalog.entries()
    if as_json:
        things = [
            {"kind": e.spec.kind, "name": e.spec.name, "summary": e.spec.summary, "plugin": e.plugin.name}
            | ({"task": e.spec.task} if hasattr(e.spec, "task") else {})
            for e in entries
        ]
        loaded = [_loaded(board, plugin) for plugin in board.manager.plugins]
        said = [{"plugin": p.plugin, "reason": p.reason, "about": p.about} for p in problems]
        print_json({"plugins": loaded, "registered": things, "problems": said})
        return
    out = console()
    for plugin in board.manager.plugins:
        out.print(f"{plugin.name}  {plugin.distribution or 'pegboard itself'} {plugin.version}".rstrip(), style="bold")
        facts = _loaded(board, plugin)
        installed = f" ({facts['installed_from']})" if facts["installed_from"] else ""
        out.print(f"  {facts['import_ms']:.1f} ms to import {facts['file']}{installed}", soft_wrap=True)
    shown = table("kind", "name", "plugin", "summary")
    for entry in sorted(entries, key=_order):
        shown.add_row(_kind(entry.spec), entry.spec.name, entry.plugin.name, entry.spec.summary)
    for column in shown.columns[:3]:
        column.no_wrap = True
    out.print(shown)


def _loaded(board: Board, plugin: Plugin) -> dict[str, Any]:
    """Return what is known of a loaded plugin: its distribution, where it is, and what it registers, by kind."""
    origin, registers = board.manager.origin(plugin), defaultdict(list)
    for entry in board.catalog.entries():
        if entry.plugin == plugin:
            registers[entry.spec.kind].append(entry.spec.name)
    return {
        **asdict(plugin),
        "module": None if origin.entry_point is None else origin.entry_point.value,
        "file": origin.file,
        "installed_from": _installed_from(plugin.distribution or "pegboard"),
        "import_ms": round(origin.seconds * 1000, 3),
        "registers": registers,
    }


def _installed_from(distribution: str) -> str | None:
    """Return from where else than a package index a distribution was installed, such as a directory, editable."""
    from pegboard.distributions import origin

    with suppress(PackageNotFoundError):
        return origin(distribution)
    return None


def _kind(spec: Spec) -> str:
    return f"{spec.task} {spec.kind}" if isinstance(spec, ModelSpec) else spec.kind


def _order(entry: Entry[Spec]) -> tuple[str, str, str]:
    return entry.spec.kind, _kind(entry.spec), entry.spec.name
