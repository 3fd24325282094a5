"""``pegboard models export``: a version's bundle as files."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.output import print_json
from pegboard.cli.places import find_registry, registry_flags
from pegboard.export import export as export_bundle


@click.command()
@registry_flags
@click.argument("version")
@click.argument("directory", type=click.Path(path_type=Path))
def export(
    version: str, directory: Path, registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Copy a version's bundle, its signatures included, into DIRECTORY, which must not exist yet or be empty.

    VERSION is name, name/7 or name@alias. Digests are checked, and nothing is unpickled. `pegboard models import` takes
    the bundle into another registry, and `pegboard serve bundle:DIRECTORY` serves it without one.
    """
    found = find_registry(registry, config, env)
    resolved = found.resolve(version)
    bundle, signatures = found.open(resolved), found.signatures(resolved)
    export_bundle(bundle, signatures, directory)
    if as_json:
        what = {"version": str(resolved), "name": resolved.name, "number": resolved.number, "digest": resolved.digest}
        print_json({**what, "directory": str(directory), "signatures": list(signatures)})
    else:
        click.echo(f"{resolved}  sha256:{resolved.digest}  {directory}")
