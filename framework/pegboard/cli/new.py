"""``pegboard new``."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.output import as_json, print_json
from pegboard.scaffold.house import KINDS, build


@click.group()
def new() -> None:
    """Write the beginnings of a plugin."""


@new.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="What the plugin brings.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where to make the directory NAME (default: here).",
)
@as_json
def plugin(name: str, kind: str, directory: Path, as_json: bool) -> None:
    """Write a plugin NAME: a whole small distribution that installs, passes its tests and can be trained with."""
    house = build(name, kind, directory)
    if as_json:
        print_json({"directory": str(house.directory), "files": house.files, "commands": house.commands})
        return
    click.echo(f"wrote {house.directory}:")
    for file in house.files:
        click.echo(f"  {file}")
    click.echo("next:")
    for command in house.commands:
        click.echo(f"  {command}")
