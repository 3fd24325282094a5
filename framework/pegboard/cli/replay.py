"""``pegboard models replay``: what to ask a server that serves a version, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pegboard.bundle import REPLAY, Bundle
from pegboard.cli.output import console, print_json, table
from pegboard.cli.places import find_registry, registry_flags
from pegboard.errors import BundleError
from pegboard.runs.words import figure


@click.command()
@registry_flags
@click.argument("version")
@click.option("--rows", "most", type=click.IntRange(min=1), help="At most so many of the stored rows (default: all).")
def replay(
    version: str, most: int | None, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Show the rows that are stored with a version, and the predictions that its pipeline gave for them.

    VERSION is name, name/7 or name@alias. With --json the rows are what POST /predict takes, and the predictions what
    it must answer, but for `relative_tolerance`. Nothing is unpickled.
    """
    from pegboard.kernels.check import RELATIVE

    found = find_registry(registry, config, env)
    resolved = found.resolve(version)
    rows, predictions = _stored(found.open(resolved))
    rows, predictions = rows[:most], predictions[:most]
    if as_json:
        what = {"version": str(resolved), "name": resolved.name, "number": resolved.number, "digest": resolved.digest}
        print_json({**what, "rows": rows, "predictions": predictions, "relative_tolerance": RELATIVE})
        return
    columns = list(rows[0])
    shown = table("row", "prediction", *columns, title=str(resolved), right=("row", "prediction"))
    for number, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        shown.add_row(str(number), _text(prediction), *(_text(row[column]) for column in columns))
    console().print(shown)


def _stored(bundle: Bundle) -> tuple[Sequence[Mapping[str, Any]], Sequence[Any]]:
    stored = bundle.replay()
    rows, predictions = stored.get("rows"), stored.get("predictions")
    if not rows or not predictions or len(rows) != len(predictions):
        raise BundleError(f"{bundle.directory}: {REPLAY} holds no rows with their predictions: train again")
    return rows, predictions


def _text(value: Any) -> str:
    return "" if value is None else figure(value) if isinstance(value, float) else str(value)
