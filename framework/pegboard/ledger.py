"""The ledger: numbered entries, each created once and never rewritten, each holding the hash of the one before.

What versions exist, where each alias points and what serves where is nothing but what replaying these entries says.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import uuid
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pegboard.errors import RegistryError
from pegboard.stores import Store

Action = Literal["published", "promoted", "rolled-back", "deployed", "withdrawn", "collected"]

#: What says of machines that they serve something, or nothing.
SERVING = ("deployed", "withdrawn")

FORMAT = 1
FIRST = "0" * 64
PREFIX = "ledger"
CHAMPION = "champion"
PRODUCTION = "production"
#: The fields of an entry that are integers, and those that are tables; the others are texts.
NUMBERS = frozenset({"number", "version", "format"})
TABLES = frozenset({"gate", "deployment"})
#: Fewer digits of a hash could be another entry's by chance.
LEAST_DIGITS = 8
#: A writer that loses this many races in a row gives up; each loss means that another writer has won.
MOST_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. ``previous`` is the SHA-256 of the entry before; ``at`` is UTC, ISO 8601.

    - ``published`` gives a bundle (its manifest's SHA-256, and the prefix of its files) the next version number of
      its name.
    - ``promoted`` and ``rolled-back`` point an alias at a version; ``gate`` is what a promotion's gate has found.
    - ``deployed`` says that hosts of an environment serve a version: ``deployment`` has ``hosts`` and ``image``, and
      ``since`` if they have served it for longer than the entry is there.
    - ``withdrawn`` says that hosts of an environment serve nothing any more: no name, and version 0.
    - ``collected`` says that a version's files were removed.

    ``git`` is the commit of the writer's working directory.
    """

    number: int
    action: Action
    name: str
    version: int
    previous: str
    at: str
    actor: str
    bundle: str = ""
    prefix: str = ""
    alias: str = ""
    environment: str = ""
    reason: str = ""
    git: str = ""
    gate: Mapping[str, Any] = field(default_factory=dict)
    deployment: Mapping[str, Any] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    format: int = FORMAT

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that it points at its version: what passed the gate for production is the champion too."""
        if self.action not in ("promoted", "rolled-back"):
            return ()
        crowned = self.environment == PRODUCTION and self.gate.get("passed") is True
        return (self.alias, CHAMPION) if crowned else (self.alias,)

    @property
    def since(self) -> datetime:
        """The time from which it is so: that of writing, unless a deployment tells an earlier one."""
        return datetime.fromisoformat(self.deployment.get("since") or self.at)

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored and hashed."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    def __str__(self) -> str:
        return "nothing" if self.action == "withdrawn" else f"{self.name}/{self.version}"


@dataclass(slots=True)
class State:
    """What a ledger says at one time.

    ``published`` has each name's entries in version order. ``trails`` has, for each (name, alias), the way on which the
    alias came to where it points, its last element: promotions add to it, rolling back takes off. ``held`` has every
    version that the alias has ever pointed at. ``moved`` has the entry that did it. ``served`` has, for each
    (environment, host), what was put there, in the order of the times from which it served, whenever that was written
    down. ``collected`` are the (name, version) pairs whose files were removed.
    """

    published: dict[str, list[Entry]] = field(default_factory=dict)
    trails: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    moved: dict[tuple[str, str], Entry] = field(default_factory=dict)
    held: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    served: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    collected: dict[tuple[str, int], Entry] = field(default_factory=dict)

    @property
    def aliases(self) -> Mapping[tuple[str, str], int]:
        """Where each (name, alias) points."""
        return {alias: trail[-1] for alias, trail in self.trails.items()}

    @property
    def machines(self) -> Mapping[tuple[str, str], Entry]:
        """What each (environment, host) serves, or the entry that says that it serves nothing any more."""
        return {machine: entries[-1] for machine, entries in self.served.items()}

    def next_version(self, name: str) -> int:
        """Return the number that the next version of a name gets."""
        return len(self.published.get(name, ())) + 1

    def add(self, entry: Entry) -> None:
        """Take one more entry in; raise :class:`RegistryError`, and stay as it was, if it cannot follow."""
        versions = self.published.get(entry.name, [])
        if entry.action == "published":
            if entry.version != len(versions) + 1:
                raise RegistryError(f"ledger entry {entry.number} publishes {entry} out of turn")
            self.published.setdefault(entry.name, []).append(entry)
            return
        if entry.action == "withdrawn":
            if entry.name or entry.version:
                raise RegistryError(
                    f"ledger entry {entry.number} has withdrawn {entry.name}/{entry.version}, not hosts"
                )
            self.place(entry)
            return
        if not 1 <= entry.version <= len(versions):
            does = f"points {entry.alias!r} at" if entry.alias else f"has {entry.action}"
            raise RegistryError(f"ledger entry {entry.number} {does} {entry}, which was never published")
        if (gone := self.collected.get((entry.name, entry.version))) is not None:
            raise RegistryError(f"{entry} was removed by entry {gone.number}, at {gone.at}")
        if entry.action == "collected":
            self.collected[entry.name, entry.version] = entry
        elif entry.action == "deployed":
            self.place(entry)
        else:
            for alias in entry.aliases:
                self._point(entry, alias)

    def place(self, entry: Entry) -> None:
        """Put a deployment, or a withdrawal, where it belongs in what its hosts have served."""
        for host in dict.fromkeys(entry.deployment.get("hosts", ())):
            served = self.served.setdefault((entry.environment, host), [])
            insort(served, entry, key=lambda other: (other.since, other.number))

    def _point(self, entry: Entry, alias: str) -> None:
        trail = self.trails.setdefault((entry.name, alias), [])
        self.held.setdefault((entry.name, alias), set()).add(entry.version)
        self.moved[entry.name, alias] = entry
        if entry.action == "rolled-back" and entry.version in trail:
            while trail[-1] != entry.version:
                trail.pop()
        elif entry.version not in trail[-1:]:
            trail.append(entry.version)


def replay(entries: Iterable[Entry]) -> State:
    """Return the state that entries lead to; raise :class:`RegistryError` at the first that cannot be."""
    state = State()
    for entry in entries:
        state.add(entry)
    return state


@dataclass(frozen=True, slots=True)
class Chain:
    """The entries of a ledger, checked, each with its SHA-256."""

    entries: tuple[Entry, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The SHA-256 of the last entry: who has noted it can tell later whether something was cut off."""
        return self.hashes[-1] if self.hashes else FIRST


class Ledger:
    """A ledger in a store.

    What has been read and checked once is kept, since no entry ever changes; :meth:`verify` reads everything anew.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chain = Chain()

    def chain(self) -> Chain:
        """Read and check what has come since: numbering, hashes and fields."""
        self._chain = self._follow(self._chain)
        return self._chain

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, in order."""
        return self.chain().entries

    def state(self) -> State:
        """Return what the ledger says now."""
        return replay(self.entries())

    def at(self, when: datetime) -> State:
        """Return what was so at a time, entries of that very moment included.

        What machines served then may have been written down later.
        """
        entries = self.entries()
        state = replay(entry for entry in entries if datetime.fromisoformat(entry.at) <= when)
        for entry in entries:
            if entry.action in SERVING and entry.since <= when < datetime.fromisoformat(entry.at):
                state.place(entry)
        return state

    def verify(self, head: str = "") -> Chain:
        """Read every entry anew and check it; with ``head``, that the entry with that SHA-256 is still there.

        ``head`` is the SHA-256 of what once was the last entry, or its first digits. Whoever has noted it
        outside sees here that entries behind it were cut off or rewritten.
        """
        if head and len(head) < LEAST_DIGITS:
            raise RegistryError(f"{head!r} is no hash of an entry: give its 64 digits, or the first {LEAST_DIGITS}")
        chain = self._follow(Chain(), fresh=True)
        replay(chain.entries)
        if head and not any(known.startswith(head) for known in chain.hashes):
            raise RegistryError(
                f"{self._store}: none of the {len(chain.entries)} ledger entries has the hash {head}: what stood "
                "there was cut off or rewritten; compare with a copy of the ledger"
            )
        return chain

    def append(self, make: Callable[[State], Mapping[str, Any]]) -> Entry:
        """Append the entry whose fields ``make(state)`` gives, deciding again whenever another writer was first.

        Raises :class:`RegistryError`, and writes nothing, for an entry that cannot follow.
        """
        for _ in range(MOST_ATTEMPTS):
            chain = self.chain()
            state = replay(chain.entries)
            entry = Entry(
                **make(state),
                number=len(chain.entries) + 1,
                previous=chain.head,
                at=_not_before(chain),
                actor=actor(),
            )
            key, data = f"{PREFIX}/{_file_name(entry.number)}", entry.to_bytes()
            state.add(_parse(data, f"{self._store}/{key}"))  # what could not be read back is not written
            if self._store.create(key, data):
                return entry
        raise RegistryError(f"{self._store}: {MOST_ATTEMPTS} other writers were first; try again")

    def _follow(self, chain: Chain, fresh: bool = False) -> Chain:
        """Return the chain with the entries that have come since."""
        entries, hashes, head = list(chain.entries), list(chain.hashes), chain.head
        names = self._behind(len(entries))
        contents = self._store.read_many([f"{PREFIX}/{name}" for name in names], fresh)
        for number, (name, data) in enumerate(zip(names, contents, strict=True), start=len(entries) + 1):
            entry = _parse(data, f"{self._store}/{PREFIX}/{name}")
            if name != _file_name(number) or entry.number != number:
                raise RegistryError(f"{self._store}: ledger entry {number} is missing; the ledger ends before {name}")
            if entry.previous != head:
                raise RegistryError(f"{self._store}: ledger entry {number - 1} was changed after {number} was written")
            head = hashlib.sha256(data).hexdigest()
            entries.append(entry)
            hashes.append(head)
        return Chain(tuple(entries), tuple(hashes))

    def _behind(self, known: int) -> list[str]:
        """Return the names behind the known entries.

        A listing is no moment: it may show an entry and miss the one before, if both were written while it went on.
        What was there when it ended is in the next one.
        """
        names = self._listed(known)
        if names != [_file_name(number) for number in range(known + 1, known + len(names) + 1)]:
            names = sorted({*names, *(name for name in self._listed(known) if name <= names[-1])})
        return names

    def _listed(self, known: int) -> list[str]:
        """List the names behind the known entries, of which the last must still be there."""
        if not known:
            return self._store.names(PREFIX)
        last, *names = self._store.names(PREFIX, _file_name(known - 1)) or [""]
        if last != _file_name(known):
            raise RegistryError(f"{self._store}: ledger entry {known} is gone: the ledger was cut off, or moved away")
        return names


def _not_before(chain: Chain) -> str:
    """Return the time, but none before the last entry's: clocks differ, and the order of entries is what happened."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return max(now, chain.entries[-1].at) if chain.entries else now


def _file_name(number: int) -> str:
    return f"{number:08d}.json"


def _parse(data: bytes, where: str) -> Entry:
    try:
        fields = json.loads(data)
        if fields["format"] != FORMAT:
            raise RegistryError(f"{where} has format {fields['format']}; this Pegboard reads format {FORMAT}")
        entry = Entry(**fields)
        if datetime.fromisoformat(entry.at).tzinfo is None:
            raise ValueError("its time has no time zone")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError(f"{where} is not a ledger entry: {error}") from error
    if wrong := [name for name, value in fields.items() if type(value) is not _type(name)]:
        raise RegistryError(f"{where} is not a ledger entry: wrong type of {', '.join(wrong)}")
    if entry.action not in get_args(Action):
        raise RegistryError(f"{where}: unknown action {entry.action!r}")
    if entry.action in SERVING:
        _check_since(entry, where)
    return entry


def _check_since(entry: Entry, where: str) -> None:
    try:
        later = entry.since > datetime.fromisoformat(entry.at)
    except (ValueError, TypeError) as error:  # no time, or one without a zone
        raise RegistryError(f"{where} is not a ledger entry: wrong time in its deployment: {error}") from error
    if later:
        raise RegistryError(f"{where} is not a ledger entry: it was written before the time that it tells of")


def _type(field_name: str) -> type:
    return int if field_name in NUMBERS else dict if field_name in TABLES else str


def actor() -> str:
    """Return who acts: ``PEGBOARD_ACTOR``, or the name of the user."""
    try:
        return os.environ.get("PEGBOARD_ACTOR") or getpass.getuser()
    except (OSError, KeyError):  # a container's uid may have no name
        return f"uid {os.getuid()}"
