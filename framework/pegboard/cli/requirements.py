"""``pegboard models requirements``: what a version needs to predict, as a lock."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from pegboard.bundle import Bundle
from pegboard.cli.output import print_json
from pegboard.cli.places import find_registry, registry_flags
from pegboard.registry import Version


@click.command()
@registry_flags
@click.argument("version")
@click.option("--find-links", metavar="DIR", multiple=True,
              help="Where pip looks besides its index, for what is not published; once for each.")  # fmt: skip
def requirements(
    version: str, find_links: Sequence[str], registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Print what a version needs to predict, as a lock for `pip install -r`. VERSION is name, name/7 or name@alias.

    It holds the distributions that the pipeline's classes come from, and all that these require, in the versions of
    the training run.
    """
    found = find_registry(registry, config, env)
    resolved = found.resolve(version)
    bundle = found.open(resolved)
    if as_json:
        place = {"version": str(resolved), "digest": resolved.digest, "python": bundle.manifest["python"]}
        print_json({**place, "find_links": list(find_links), **bundle.requirements.to_dict()})
        return
    for line in _lock(resolved, bundle, find_links):
        click.echo(line)


def _lock(version: Version, bundle: Bundle, find_links: Sequence[str]) -> Iterator[str]:
    needed = bundle.requirements
    yield f"# {version}, sha256:{version.digest}"
    yield f"# trained with Python {bundle.manifest['python']}"
    for requirement in needed.direct:
        yield f"# {requirement.name}: for {', '.join(requirement.causes)}"
    for path in needed.unowned:
        yield f"# {path} is in no distribution: put its module on the server's path"
    yield from (f"--find-links {shlex.quote(place)}" for place in find_links)
    yield from needed.lines()
