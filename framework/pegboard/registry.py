"""Versions and aliases: bundles filed in a store, and a ledger that says which of them exist."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.errors import BundleError, RegistryError, did_you_mean
from pegboard.ledger import CHAMPION, Entry, Ledger, State
from pegboard.provenance import git_reference
from pegboard.specs import check_name
from pegboard.stores import open_store

if TYPE_CHECKING:
    from pegboard.signing import Trust

LATEST = "latest"

#: A tag can be moved to another image, a digest cannot.
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
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
    """A registry at a location: a directory, or ``s3://bucket/prefix``.

    Reading one that does not exist yet finds it empty; publishing makes it. With ``trusted``, bundles that none of
    these keys has signed are not opened. ``offline`` goes on from what is known when the store is away, and is for
    servers: what is known may be old.
    """

    def __init__(self, location: str | Path, trusted: Trust | None = None, *, offline: bool = False) -> None:
        self.store = open_store(location, offline=offline)
        self.trusted = trusted
        self.ledger = Ledger(self.store)

    def versions(self, name: str | None = None) -> list[Version]:
        """Return every version, or those of one name, in the order of name and number; without removed ones."""
        state = self.ledger.state()
        return [
            _version(entry, state)
            for published_name, entries in sorted(state.published.items())
            if name in (None, published_name)
            for entry in entries
            if (entry.name, entry.version) not in state.collected
        ]

    def resolve(self, reference: str, when: datetime | None = None) -> Version:
        """Return the version that ``name``, ``name/7``, ``name@alias`` or ``name@latest`` names, or named at a time."""
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
            then = state if when is None else self.ledger.at(when)
            number = len(then.published.get(name, ())) if alias == LATEST else then.aliases.get((name, alias))
        if not number and when is not None and alias in _aliases(state, name):
            raise RegistryError(
                f"{name}@{alias} was no version yet at {_seconds(when)}: write which, as {name}/{len(entries)}"
            )
        if not number:
            raise RegistryError(f"{name} has no alias {alias!r}{did_you_mean(alias, _aliases(state, name))}")
        if not 1 <= int(number) <= len(entries):
            raise RegistryError(f"{name} has versions 1 to {len(entries)}, and no {number}")
        if (gone := state.collected.get((name, int(number)))) is not None:
            raise RegistryError(f"the files of {gone} were removed at {gone.at} by {gone.actor}: {gone.reason}")
        return _version(entries[int(number) - 1], state)

    def name_of(self, experiment: str) -> str:
        """Return an experiment's name if versions of it are here, or else the only name that is."""
        names = sorted(self.ledger.state().published)
        if experiment in names:
            return experiment
        if not experiment and len(names) == 1:
            return names[0]
        holds = f"holds {', '.join(names)}: name one of them" if names else "holds none; `pegboard train` publishes one"
        raise RegistryError(f"which model? {self.store} {holds}")

    def champion(self, name: str) -> Version | None:
        """Return the version to beat: the one under the alias ``champion``, else the newest, else ``None``."""
        state = self.ledger.state()
        if name not in state.published:
            return None
        return self.resolve(f"{name}@{CHAMPION}" if (name, CHAMPION) in state.trails else name)

    def open(self, version: Version) -> Bundle:
        """Open a version's bundle.

        Refuses one whose manifest is not what the ledger says, or that no trusted key has signed.
        """
        directory, fetch = self.store.local(version.prefix, version.digest)
        bundle = bundles.open_bundle(directory, version.digest, fetch)
        if self.trusted is not None:
            self.trusted.check(bundle.manifest_bytes(), self.signatures(version), str(version))
        return bundle

    def signatures(self, version: Version) -> dict[str, bytes]:
        """Return a version's signatures by their keys' ids."""
        prefix = f"{version.prefix}/{bundles.SIGNATURES}"
        return {name: self.store.read(f"{prefix}/{name}") for name in self.store.names(prefix)}

    def sign(self, version: Version, key: str, signature: bytes) -> bool:
        """Lay a signature beside a version's manifest; return ``False`` if that key has signed it already."""
        if key in self.signatures(version):
            return False
        return self.store.create(f"{version.prefix}/{bundles.SIGNATURES}/{key}", signature)

    def publish(self, directory: Path, reason: str = "") -> Version:
        """Take a bundle in: copy its files, the manifest last, then write the ledger entry that makes it exist.

        A bundle that is published already, under whatever number, is not published again.
        """
        bundle = bundles.open_bundle(directory)
        bundles.verify(bundle)
        return self.take(bundle, bundles.signatures(directory), reason)

    def take(self, bundle: Bundle, signatures: Mapping[str, bytes], reason: str = "") -> Version:
        """Publish a bundle from wherever it is, another registry's cache for example."""
        name = check_name(bundle.name, "model name")
        if self.trusted is not None:
            self.trusted.check(bundle.manifest_bytes(), signatures, str(bundle.directory))
        if (known := self.find(name, bundle.digest)) is not None:
            return known
        prefix = f"bundles/{name}/{uuid.uuid4().hex}"
        for file in bundle.manifest["files"]:
            self._put(f"{prefix}/{file}", bundle.read(file))
        for key, signature in signatures.items():
            self._put(f"{prefix}/{bundles.SIGNATURES}/{key}", signature)
        self._put(f"{prefix}/{bundles.MANIFEST}", bundle.manifest_bytes())
        self._check_stored(prefix, bundle)
        git = git_reference()

        def published(state: State) -> Mapping[str, Any]:
            if _find(state, name, bundle.digest) is not None:
                raise RegistryError(f"another writer has just published this bundle of {name!r}")
            return {
                "action": "published",
                "name": name,
                "version": state.next_version(name),
                "bundle": bundle.digest,
                "prefix": prefix,
                "reason": reason,
                "git": git,
            }

        entry = self.ledger.append(published)
        return self.resolve(str(entry))

    def find(self, name: str, digest: str) -> Version | None:
        """Return the version of a name that has this digest, ``None`` if there is none."""
        state = self.ledger.state()
        entry = _find(state, name, digest)
        return None if entry is None else _version(entry, state)

    def promote(
        self,
        reference: str,
        alias: str,
        *,
        environment: str = "",
        gate: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Entry:
        """Point an alias at a published version, and return the ledger's entry.

        ``gate`` is what the gate has found; ``gate["champion"]`` is what it has compared with, and if another version
        has become the champion since, the promotion is refused.
        """
        check_alias(alias)
        version, found = self.resolve(reference), dict(gate or {})
        about = _about(version)

        def promoted(state: State) -> Mapping[str, Any]:
            if found:
                _refuse_other_champion(state, version.name, found.get("champion"))
            return {**about, "action": "promoted", "alias": alias, "environment": environment,
                    "gate": found, "reason": reason}  # fmt: skip

        return self.ledger.append(promoted)

    def rollback(
        self, name: str, alias: str, to: int | None = None, *, environment: str = "", reason: str = ""
    ) -> Entry:
        """Point an alias back at the version before, or at ``to``, where it has been; return the ledger's entry.

        The version's files are checked first. Going back twice goes back two steps.
        """
        check_alias(alias)
        self.resolve(f"{name}@{alias}")  # raises, with the names nearby

        def target(state: State) -> Version:
            number = way_back(state, name, alias, to)
            return _version(state.published[name][number - 1], state)

        self.verify(target(self.ledger.state()))
        return self.ledger.append(
            lambda state: {**_about(target(state)), "action": "rolled-back", "alias": alias,
                           "environment": environment, "reason": reason}
        )  # fmt: skip

    def record_deploy(
        self,
        version: Version,
        environment: str,
        hosts: Sequence[str],
        image: str = "",
        reason: str = "",
        since: datetime | None = None,
    ) -> Entry:
        """Write down that these hosts of an environment serve a version, from an image with that digest.

        ``since`` is when they began to, if that was not now.
        """
        if image and _IMAGE.fullmatch(image) is None:
            raise RegistryError(
                f"{image!r} is not an image's digest: write sha256: and its 64 digits (`docker images --digests`)"
            )
        _refuse_no_hosts(hosts)
        # A table shows whole seconds: what somebody has read there is not before.
        if since is not None and since < datetime.fromisoformat(version.published_at).replace(microsecond=0):
            raise RegistryError(
                f"{version} was published at {version.published_at}: nothing has served it since {_seconds(since)}"
            )
        about, deployment = _about(version), {"hosts": list(hosts), "image": image} | _told(since)
        return self.ledger.append(
            lambda _: {**about, "action": "deployed", "environment": environment,
                       "deployment": deployment, "reason": reason}
        )  # fmt: skip

    def record_nothing(
        self, environment: str, hosts: Sequence[str], reason: str = "", since: datetime | None = None
    ) -> Entry:
        """Write down that these hosts of an environment serve nothing any more, since a time or since now."""
        _refuse_no_hosts(hosts)
        deployment = {"hosts": list(hosts), "image": ""} | _told(since)
        git = git_reference()

        def withdrawn(state: State) -> Mapping[str, Any]:
            known = [host for where, host in state.served if where == environment]
            for host in hosts:
                if host not in known:  # a slip of the pen would leave the machine that is meant serving
                    raise RegistryError(
                        f"nothing was ever deployed to {host!r} in {environment}{did_you_mean(host, known)}"
                    )
            return {"action": "withdrawn", "name": "", "version": 0, "environment": environment,
                    "deployment": deployment, "reason": reason, "git": git}  # fmt: skip

        return self.ledger.append(withdrawn)

    def verify(self, version: Version) -> None:
        """Check, in the store itself, a version's manifest against the ledger and every file against the manifest."""
        bundle = self.open(version)
        if bundle.name != version.name:
            raise BundleError(f"{version} holds a bundle of {bundle.name!r}")
        self._check_stored(version.prefix, bundle)

    def _check_stored(self, prefix: str, bundle: Bundle) -> None:
        if self.store.read(f"{prefix}/{bundles.MANIFEST}", fresh=True) != bundle.manifest_bytes():
            raise BundleError(f"{self.store}: {prefix}/{bundles.MANIFEST} was altered: {bundles.REMEDY}")
        bundles.refuse_unknown(bundle, self.store.names(prefix))
        for file in bundle.manifest["files"]:
            bundle.checked(file, self.store.read(f"{prefix}/{file}", fresh=True))

    def _put(self, key: str, data: bytes) -> None:
        if not self.store.create(key, data):
            raise RegistryError(f"{self.store} already holds {key}")


def check_alias(alias: str) -> str:
    """Return ``alias`` if it can be set by hand."""
    check_name(alias, "alias")
    if alias == LATEST:
        raise RegistryError(f"{LATEST!r} always means the newest version and cannot be set")
    if alias == CHAMPION:
        raise RegistryError(f"{CHAMPION!r} is what the newest gate passed for production and cannot be set")
    return alias


def _refuse_no_hosts(hosts: Sequence[str]) -> None:
    if not hosts or not all(host.strip() for host in hosts):
        raise RegistryError("a deployment has hosts: name at least one, and none by an empty name")


def _told(since: datetime | None) -> dict[str, str]:
    """Return what a deployment says of its time, written as the ledger writes its own; nothing if that is now."""
    if since is None:
        return {}
    if since > datetime.now(UTC):
        raise RegistryError(f"{_seconds(since)} is still to come: write down what is so already")
    return {"since": since.astimezone(UTC).isoformat(timespec="milliseconds")}


def _seconds(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _about(version: Version) -> dict[str, Any]:
    return {"name": version.name, "version": version.number, "bundle": version.digest, "git": git_reference()}


def _find(state: State, name: str, digest: str) -> Entry | None:
    entries = state.published.get(name, ())
    return next((e for e in entries if e.bundle == digest and (name, e.version) not in state.collected), None)


def _refuse_other_champion(state: State, name: str, compared: str | None) -> None:
    number = state.aliases.get((name, CHAMPION))
    now = None if number is None else f"{name}/{number}"
    if now != compared:
        raise RegistryError(
            f"{now} has become the champion since the gate compared with {compared or 'none'}: run the gate again"
        )


def way_back(state: State, name: str, alias: str, to: int | None) -> int:
    """Return the version that rolling an alias back leads to: the one before, or ``to`` if it has pointed there."""
    trail = state.trails.get((name, alias))
    if trail is None:
        raise RegistryError(f"{name} has no alias {alias!r}{did_you_mean(alias, _aliases(state, name))}")
    if to is None:
        earlier = [number for number in trail[:-1] if (name, number) not in state.collected]
        if not earlier:
            raise RegistryError(f"{name}@{alias} has pointed at nothing before {name}/{trail[-1]}: promote a version")
        return earlier[-1]
    if to == trail[-1]:
        raise RegistryError(f"{name}@{alias} points at {name}/{to} already")
    if to not in state.held[name, alias]:
        been = ", ".join(map(str, sorted(state.held[name, alias])))
        raise RegistryError(f"{name}@{alias} has never pointed at {name}/{to} (but at {been}): promote it instead")
    return to


def _version(entry: Entry, state: State) -> Version:
    aliases = sorted(
        alias for (name, alias), number in state.aliases.items() if (name, number) == (entry.name, entry.version)
    )
    return Version(entry.name, entry.version, entry.bundle, entry.prefix, entry.at, entry.actor, tuple(aliases))


def _aliases(state: State, name: str) -> list[str]:
    return [LATEST, *(alias for aliased, alias in state.trails if aliased == name)]
