"""What installed distributions require, and whether it is installed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement

from pegboard.distributions import required
from pegboard.provenance import library_version


def unmet(
    dist: Distribution, extras: frozenset[str] = frozenset(), seen: frozenset[str] = frozenset()
) -> Iterator[tuple[Requirement, str | None]]:
    """Yield what a distribution requires here and has not, with the version that is there instead, if one is."""
    for requirement in required(dist, extras):
        here = library_version(requirement.name)
        if here is None or not requirement.specifier.contains(here, prereleases=True):
            yield requirement, here
        elif requirement.extras and requirement.name not in seen:
            more = frozenset(requirement.extras)
            yield from unmet(distribution(requirement.name), more, seen | {requirement.name})


def plain(requirement: Requirement) -> str:
    """Return a requirement without its marker, which has been heeded."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    url = f" @ {requirement.url}" if requirement.url else ""
    return f"{requirement.name}{extras}{requirement.specifier}{url}"


def pip_install(requirements: Iterable[Requirement]) -> str:
    """Return the command that installs them."""
    return shlex.join(["pip", "install", *map(plain, requirements)])
