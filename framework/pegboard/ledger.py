"""The ledger: numbered entries, each created once and never rewritten, each holding the hash of the one before.

What versions exist and where each alias points is nothing but what replaying these entries says.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pegboard.errors import RegistryError
from pegboard.store import FileStore

Action = Literal["published", "promoted", "rolled-back"]

FORMAT = 1
FIRST = "0" * 64
PREFIX = "ledger"
#: The fields of an entry that are integers; the others are texts.
NUMBERS = frozenset({"number", "version", "format"})
#: A writer that loses this many races in a row gives up; each loss means that another writer has won.
MOST_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. ``previous`` is the SHA-256 of the entry before; ``at`` is UTC, ISO 8601.

    ``published`` gives a bundle (its manifest's SHA-256, and the prefix of its files) the next version number of
    its name. ``promoted`` and ``rolled-back`` point an alias at a version.
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
    reason: str = ""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored and hashed."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, slots=True)
class State:
    """What a ledger says: for each name its published entries in version order, and where each alias points."""

    published: Mapping[str, tuple[Entry, ...]]
    aliases: Mapping[tuple[str, str], int]

    def next_version(self, name: str) -> int:
        """Return the number that the next version of a name gets."""
        return len(self.published.get(name, ())) + 1


def replay(entries: Iterable[Entry]) -> State:
    """Return the state that entries lead to; raise :class:`RegistryError` at the first that cannot be."""
    published: dict[str, tuple[Entry, ...]] = {}
    aliases: dict[tuple[str, str], int] = {}
    for entry in entries:
        versions = published.get(entry.name, ())
        if entry.action == "published":
            if entry.version != len(versions) + 1:
                raise RegistryError(f"ledger entry {entry.number} publishes {entry.name}/{entry.version} out of turn")
            published[entry.name] = (*versions, entry)
        elif 1 <= entry.version <= len(versions):
            aliases[entry.name, entry.alias] = entry.version
        else:
            raise RegistryError(
                f"ledger entry {entry.number} points {entry.alias!r} at {entry.name}/{entry.version}, "
                "which was never published"
            )
    return State(published, aliases)


class Ledger:
    """A ledger in a store."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def entries(self) -> list[Entry]:
        """Read and check the whole ledger: numbering, hashes and fields."""
        return self._read()[0]

    def state(self) -> State:
        """Return what the ledger says now."""
        return replay(self.entries())

    def append(self, make: Callable[[State], Mapping[str, Any]]) -> Entry:
        """Append the entry whose fields ``make(state)`` gives, deciding again whenever another writer was first."""
        for _ in range(MOST_ATTEMPTS):
            entries, head = self._read()
            entry = Entry(
                **make(replay(entries)),
                number=len(entries) + 1,
                previous=head,
                at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                actor=_actor(),
            )
            key, data = f"{PREFIX}/{_file_name(entry.number)}", entry.to_bytes()
            replay([*entries, _parse(data, f"{self._store}/{key}")])  # what could not be read back is not written
            if self._store.create(key, data):
                return entry
        raise RegistryError(f"{self._store}: {MOST_ATTEMPTS} other writers were first; try again")

    def _read(self) -> tuple[list[Entry], str]:
        entries: list[Entry] = []
        head = FIRST
        for number, name in enumerate(self._store.names(PREFIX), start=1):
            data = self._store.read(f"{PREFIX}/{name}")
            entry = _parse(data, f"{self._store}/{PREFIX}/{name}")
            if name != _file_name(number) or entry.number != number:
                raise RegistryError(f"{self._store}: ledger entry {number} is missing; the ledger ends before {name}")
            if entry.previous != head:
                raise RegistryError(f"{self._store}: ledger entry {number - 1} was changed after {number} was written")
            entries.append(entry)
            head = hashlib.sha256(data).hexdigest()
        return entries, head


def _file_name(number: int) -> str:
    return f"{number:08d}.json"


def _parse(data: bytes, where: str) -> Entry:
    try:
        fields = json.loads(data)
        if fields["format"] != FORMAT:
            raise RegistryError(f"{where} has format {fields['format']}; this Pegboard reads format {FORMAT}")
        entry = Entry(**fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError(f"{where} is not a ledger entry: {error}") from error
    if wrong := [name for name, value in fields.items() if type(value) is not (int if name in NUMBERS else str)]:
        raise RegistryError(f"{where} is not a ledger entry: wrong type of {', '.join(wrong)}")
    if entry.action not in get_args(Action):
        raise RegistryError(f"{where}: unknown action {entry.action!r}")
    return entry


def _actor() -> str:
    try:
        return os.environ.get("PEGBOARD_ACTOR") or getpass.getuser()
    except (OSError, KeyError):  # a container's uid may have no name
        return f"uid {os.getuid()}"
