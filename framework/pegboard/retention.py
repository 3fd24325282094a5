"""What a registry may forget: versions that no alias has needed for long, and uploads that never became versions.

Ledger entries, and records of runs, are never removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pegboard.bundle import MANIFEST, SIGNATURES
from pegboard.errors import BundleError, RegistryError
from pegboard.ledger import Entry, State
from pegboard.registry import Registry, Version

BUNDLES = "bundles"
#: An upload that no entry speaks of is somebody's who is still at it, until it is as old as this.
UPLOAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Garbage:
    """What may go: versions with their sizes in bytes, and prefixes of files that belong to no version."""

    versions: tuple[tuple[Version, int], ...]
    orphans: tuple[str, ...]


def find_garbage(registry: Registry, window: timedelta, now: datetime | None = None) -> Garbage:
    """Return what was not needed within the window.

    Kept is what any alias has pointed at within it, what was published within it, what a machine has served within it,
    what one serves and what it served before that, and the newest version of each name.
    """
    now = now or datetime.now(UTC)
    state, needed = registry.ledger.state(), _needed(registry, now - window)
    versions = tuple(
        (version, _size(registry, version))
        for version in registry.versions()
        if (version.name, version.number) not in needed
    )
    live = {
        entry.prefix
        for entries in state.published.values()
        for entry in entries
        if (entry.name, entry.version) not in state.collected
    }
    return Garbage(versions, tuple(p for p in _prefixes(registry) if p not in live and _abandoned(registry, p, now)))


def collect(registry: Registry, garbage: Garbage, window: timedelta, reason: str) -> Iterator[str]:
    """Remove the garbage, a thing at a time, and yield what has gone.

    The ledger says first that a version goes, so that nobody can promote what is half removed; a version that has come
    to be needed meanwhile stays.
    """
    for version, _ in garbage.versions:

        def collected(_: State, version: Version = version) -> Mapping[str, Any]:
            if (version.name, version.number) in _needed(registry, datetime.now(UTC) - window):
                raise RegistryError(f"{version} is needed by now, and stays")
            return {"action": "collected", "name": version.name, "version": version.number,
                    "bundle": version.digest, "reason": reason}  # fmt: skip

        registry.ledger.append(collected)
        _remove(registry, version.prefix)
        yield str(version)
    for prefix in garbage.orphans:
        _remove(registry, prefix)
        yield prefix


def _needed(registry: Registry, since: datetime) -> set[tuple[str, int]]:
    """Return what must stay, as (name, number) pairs."""
    then, entries = registry.ledger.at(since), registry.ledger.entries()
    state = registry.ledger.state()
    newest = {(name, state.next_version(name) - 1) for name in state.published}
    pointed = {(name, number) for (name, _), number in [*then.aliases.items(), *state.aliases.items()]}
    recent = {_version(e) for e in entries if e.action != "collected" and datetime.fromisoformat(e.at) >= since}
    served = {_version(entry) for entry in [*then.machines.values(), *state.machines.values()]}
    back = {way for timeline in state.served.values() for way in _ways_back(timeline, state)}
    # A withdrawal has no version, and names nothing that could be removed.
    return newest | pointed | recent | served | back


def _ways_back(timeline: Sequence[Entry], state: State) -> Iterator[tuple[str, int]]:
    """Yield what a machine served before what it serves now; what is gone, and times of nothing, are no way back.

    What began at the very moment at which another did was corrected, or written by clocks that differ: the one before
    is kept as well. A machine that serves nothing goes nowhere.
    """
    *before, now = timeline
    began = now.since
    for entry in reversed(before if now.action == "deployed" else []):
        if _version(entry) == _version(now):
            began = entry.since
        elif entry.action == "deployed" and _version(entry) not in state.collected:
            yield _version(entry)
            if entry.since < began:
                return


def _version(entry: Entry) -> tuple[str, int]:
    return entry.name, entry.version


def _size(registry: Registry, version: Version) -> int:
    try:
        files = registry.open(version).manifest["files"].values()
    except BundleError:  # a damaged one may go too
        return 0
    return sum(int(file["size"]) for file in files)


def _prefixes(registry: Registry) -> Iterator[str]:
    for name in registry.store.names(BUNDLES):
        for upload in registry.store.names(f"{BUNDLES}/{name}"):
            yield f"{BUNDLES}/{name}/{upload}"


def _keys(registry: Registry, prefix: str) -> list[str]:
    """Return a bundle's keys, the manifest first: without it, the rest is no bundle."""
    names = registry.store.names(prefix)
    signatures = registry.store.names(f"{prefix}/{SIGNATURES}") if SIGNATURES in names else []
    manifest, files = [n for n in names if n == MANIFEST], [n for n in names if n not in (MANIFEST, SIGNATURES)]
    return [f"{prefix}/{name}" for name in [*manifest, *(f"{SIGNATURES}/{name}" for name in signatures), *files]]


def _abandoned(registry: Registry, prefix: str, now: datetime) -> bool:
    keys = _keys(registry, prefix)  # a directory without any is all that a first write on a full disk leaves
    return bool(keys) and all(now - registry.store.modified(key) > UPLOAD for key in keys)


def _remove(registry: Registry, prefix: str) -> None:
    for key in _keys(registry, prefix):
        registry.store.delete(key)
