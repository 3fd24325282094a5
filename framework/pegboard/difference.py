"""What differs between two bundles: data, parameters, metrics, dependencies and signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in two bundles; ``None`` where one of them does not have it."""

    section: str
    what: str
    before: Any
    after: Any


def differences(before: Bundle, after: Bundle) -> list[Difference]:
    """Return what differs, section by section, in the order of the sections and of what they hold."""
    pairs = zip(_sections(before.manifest).items(), _sections(after.manifest).values(), strict=True)
    return [found for (section, old), new in pairs for found in _compared(section, old, new)]


def _sections(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    experiment, board, signature = manifest.get("experiment", {}), manifest["leaderboard"], manifest["signature"]
    libraries, plugins = manifest["libraries"], manifest["plugins"]
    commit = manifest.get("git") or {}
    return {
        "model": {"model": manifest["model"], **dict(flat(experiment))},
        "data": dict(flat(manifest["data"])),
        "metrics": dict(flat(manifest["metrics"])),
        "candidates": {c["name"]: c.get("mean", c["error"]) for c in board["candidates"]},
        "signature": dict(_columns(signature)),
        "dependencies": {
            "python": manifest["python"],
            **libraries,
            **{p["distribution"]: p["version"] for p in plugins if p["distribution"]},
        },
        "git": {"commit": commit.get("commit"), "with changes": commit.get("changed")},
    }


def _columns(signature: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a line for each property of each column, and for what is said of the table as a whole."""
    for feature in signature["features"]:
        yield from flat({k: v for k, v in feature.items() if k != "name"}, f"{feature['name']}.")
    yield from flat({k: v for k, v in signature.items() if k != "features"})


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a table's values by their names, those of the tables inside it by ``outer.inner``."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _compared(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for what in dict.fromkeys([*old, *new]):
        if old.get(what) != new.get(what):
            yield Difference(section, what, old.get(what), new.get(what))
