"""``pegboard registry``: keeping it from growing for ever."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from pegboard.cli.output import console, print_json, table
from pegboard.cli.places import find_registry, registry_flags
from pegboard.retention import Garbage, collect, find_garbage


@click.group()
def registry() -> None:
    """Remove what no alias needs any more."""


@registry.command()
@registry_flags
@click.option("--keep-days", type=click.IntRange(0, 36_500), default=90, show_default=True,
              help="Keep what an alias has pointed at, or what was published, within so many days.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do it; without, what would go is only shown.")
@click.option("--reason", default="", help="Why; kept in the ledger.")
def gc(
    keep_days: int, yes: bool, reason: str, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Remove the files of versions that are not needed, and of uploads that never became versions.

    Kept are versions that any alias has pointed at, or a machine has served, within the window; that machines serve,
    and served before that; and the newest of each name. The ledger keeps every entry, and the records of runs stay.
    """
    found, window = find_registry(registry, config, env), timedelta(days=keep_days)
    garbage = find_garbage(found, window)
    gone: list[str] = []
    if yes:
        gone = list(collect(found, garbage, window, reason or f"not needed for {keep_days} days"))
    if as_json:
        versions = [{"version": str(version), "bytes": size} for version, size in garbage.versions]
        print_json({"dry_run": not yes, "versions": versions, "orphans": list(garbage.orphans), "gone": gone})
        return
    _show(garbage, done=yes)


def _show(garbage: Garbage, *, done: bool) -> None:
    out, size = console(), sum(size for _, size in garbage.versions)
    if not garbage.versions and not garbage.orphans:
        out.print("everything is needed")
        return
    shown = table("what", "published", "MiB", right=("MiB",))
    for version, bytes_ in garbage.versions:
        shown.add_row(str(version), version.published_at[:10], f"{bytes_ / 2**20:,.1f}")
    for prefix in garbage.orphans:
        shown.add_row(f"{prefix} (no version)", "", "")
    out.print(shown)
    count = f"{len(garbage.versions)} versions and {len(garbage.orphans)} unfinished uploads, {size / 2**20:,.1f} MiB"
    out.print(f"removed {count}" if done else f"would remove {count}; --yes does it", style="bold")
