"""Versions and aliases: bundles filed in a store, and a ledger that says which of them exist."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.errors import BundleError, RegistryError, did_you_mean
from pegboard.ledger import Entry, Ledger, State
from pegboard.specs import check_name
from pegboard.store import FileStore

LATEST = "latest"
CHAMPION = "champion"

_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)(?:/(?P<version>[0-9]{1,9})|@(?P<alias>[a-z0-9][a-z0-9-]*))?")


@dataclass(frozen=True, slots=True)
class Version:
    """A published version: ``name/number`` is the registry's label for the bundle with that digest."""

    name: str
    number: int
    digest: str
    prefix: str
    published_at: str
    actor: str
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


class Registry:
    """A registry at a directory. Reading one that does not exist yet finds it empty; publishing makes it."""

    def __init__(self, location: str | Path) -> None:
        self.store = FileStore(location)
        self.ledger = Ledger(self.store)

    def versions(self, name: str | None = None) -> list[Version]:
        """Return every version, or those of one name, in the order of name and number."""
        state = self.ledger.state()
        return [
            _version(entry, state)
            for published_name, entries in sorted(state.published.items())
            if name in (None, published_name)
            for entry in entries
        ]

    def resolve(self, reference: str) -> Version:
        """Return the version that ``name``, ``name/7``, ``name@alias`` or ``name@latest`` names."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise RegistryError(f"{reference!r} is not a version: write name, name/7 or name@alias")
        state = self.ledger.state()
        name, number, alias = match["name"], match["version"], match["alias"] or LATEST
        entries = state.published.get(name)
        if entries is None:
            hint = did_you_mean(name, state.published) or "; `pegboard train` publishes one"
            raise RegistryError(f"{self.store} holds no model {name!r}{hint}")
        if number is None:
            number = len(entries) if alias == LATEST else state.aliases.get((name, alias))
        if number is None:
            raise RegistryError(f"{name} has no alias {alias!r}{did_you_mean(alias, _aliases(state, name))}")
        if not 1 <= int(number) <= len(entries):
            raise RegistryError(f"{name} has versions 1 to {len(entries)}, and no {number}")
        return _version(entries[int(number) - 1], state)

    def champion(self, name: str) -> Version | None:
        """Return the version to beat: the one under the alias ``champion``, else the newest, else ``None``."""
        state = self.ledger.state()
        if name not in state.published:
            return None
        return self.resolve(f"{name}@{CHAMPION}" if (name, CHAMPION) in state.aliases else name)

    def open(self, version: Version) -> Bundle:
        """Open a version's bundle, refusing one whose manifest is not what the ledger says."""
        return bundles.open_bundle(self.store.path(version.prefix), version.digest)

    def publish(self, directory: Path, reason: str = "") -> Version:
        """Take a bundle in: copy its files, the manifest last, then write the ledger entry that makes it exist.

        A bundle that is published already, under whatever number, is not published again.
        """
        bundle = bundles.open_bundle(directory)
        bundles.verify(bundle)
        name = check_name(bundle.name, "model name")
        if (known := self._published_as(bundle)) is not None:
            return known
        prefix = f"bundles/{name}/{uuid.uuid4().hex}"
        for file in bundle.manifest["files"]:
            self._put(f"{prefix}/{file}", bundle.read(file))
        self._put(f"{prefix}/{bundles.MANIFEST}", (directory / bundles.MANIFEST).read_bytes())
        bundles.verify(bundles.open_bundle(self.store.path(prefix), bundle.digest))

        def published(state: State) -> Mapping[str, Any]:
            if any(entry.bundle == bundle.digest for entry in state.published.get(name, ())):
                raise RegistryError(f"another writer has just published this bundle of {name!r}")
            return {
                "action": "published",
                "name": name,
                "version": state.next_version(name),
                "bundle": bundle.digest,
                "prefix": prefix,
                "reason": reason,
            }

        entry = self.ledger.append(published)
        return self.resolve(f"{name}/{entry.version}")

    def promote(self, reference: str, alias: str, reason: str = "") -> Version:
        """Point an alias at a published version."""
        check_name(alias, "alias")
        if alias == LATEST:
            raise RegistryError(f"{LATEST!r} always means the newest version and cannot be set")
        version = self.resolve(reference)
        promoted = {"name": version.name, "version": version.number, "alias": alias, "reason": reason}
        self.ledger.append(lambda _: {"action": "promoted", **promoted})
        return self.resolve(str(version))

    def verify(self, version: Version) -> None:
        """Check a version's manifest against the ledger and every file against the manifest."""
        bundle = self.open(version)
        if bundle.name != version.name:
            raise BundleError(f"{version} holds a bundle of {bundle.name!r}")
        bundles.verify(bundle)

    def _published_as(self, bundle: Bundle) -> Version | None:
        return next((v for v in self.versions(bundle.name) if v.digest == bundle.digest), None)

    def _put(self, key: str, data: bytes) -> None:
        if not self.store.create(key, data):
            raise RegistryError(f"{self.store} already holds {key}")


def _version(entry: Entry, state: State) -> Version:
    aliases = sorted(
        alias for (name, alias), number in state.aliases.items() if (name, number) == (entry.name, entry.version)
    )
    return Version(entry.name, entry.version, entry.bundle, entry.prefix, entry.at, entry.actor, tuple(aliases))


def _aliases(state: State, name: str) -> list[str]:
    return [LATEST, *(alias for aliased, alias in state.aliases if aliased == name)]
