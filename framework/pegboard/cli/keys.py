"""``pegboard keys``: the pairs of keys that bundles are signed with."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard import signing
from pegboard.cli.output import as_json, print_json
from pegboard.errors import ConfigError


@click.group()
def keys() -> None:
    """Make and show the keys that bundles are signed with."""


@keys.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where the two files go (default: here).",
)
@as_json
def new(name: str, directory: Path, as_json: bool) -> None:
    """Make NAME.key, which signs, and NAME.pub, which is trusted."""
    if name in {"", ".", ".."} or Path(name).name != name:
        raise ConfigError(f"{name!r} cannot be the name of a file: use --directory for the place")
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    made = signing.generate(private, public)
    if as_json:
        print_json({"id": made, "private": str(private), "public": str(public)})
        return
    click.echo(f"key {made}")
    click.echo(f"{private} signs: keep it secret, out of the repository, and give it to who publishes")
    click.echo(f"  PEGBOARD_SIGNING_KEY={private} pegboard train")
    click.echo(f"{public} checks: commit it, and trust it where bundles are served, in pegboard.toml")
    click.echo(f'  [environments.production]\n  trusted_keys = ["{public}"]')


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def show(file: Path, as_json: bool) -> None:
    """Show the id and the kind of a key."""
    key = signing.describe(file)
    if as_json:
        print_json({"id": key.id, "kind": key.kind, "file": str(file)})
    else:
        click.echo(f"{key.id}  {key.kind}")
