"""Where a registry keeps its bytes: a few verbs over keys, the same on a disk and in a bucket.

Keys are ``/``-separated relative paths, each part of it letters, digits, ``.``, ``_`` and ``-``. What a key holds never
changes. ``create`` is the one operation that everything else leans on: exactly one of any number of contenders wins a
key, and the key never holds a part of what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pegboard.errors import RegistryError, did_you_mean

#: Brings one file of a bundle into the bundle's local directory.
Fetch = Callable[[str], None]

SCHEMES = ("file", "s3")

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_URL = re.compile(r"([a-z][a-z0-9+]*):(.*)", re.DOTALL)


class StoreAway(RegistryError):
    """The store cannot be reached now; what it holds is not known to be wrong."""


class Store(Protocol):
    """What a registry needs of the place where it is; ``str()`` of a store is its location.

    Each verb raises :class:`~pegboard.errors.RegistryError`: for a key that is none, and for what the place refuses;
    :class:`StoreAway` where it does not answer.
    """

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist yet, durably; return ``False`` if it exists already."""

    def read(self, key: str, fresh: bool = False) -> bytes:
        """Return what a key holds; raises :class:`~pegboard.errors.RegistryError` if there is no such key.

        What was read before may come from this machine, since it does not change; ``fresh`` asks the place itself.
        """

    def read_many(self, keys: Sequence[str], fresh: bool = False) -> list[bytes]:
        """Return what each key holds, as :meth:`read` does; sooner than one by one, where the place is far."""

    def names(self, prefix: str, after: str = "") -> list[str]:
        """Return the names directly under a prefix, sorted; only those that sort behind ``after``."""

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""

    def modified(self, key: str) -> datetime:
        """Return when a key was created, in UTC."""

    def local(self, prefix: str, digest: str) -> tuple[Path, Fetch | None]:
        """Return the directory in which the bundle under ``prefix`` is, or is to be, on this machine.

        ``digest`` is the bundle's. With a fetch, a file is there only after ``fetch(name)``, which leaves a file alone
        that is there already.
        """

    def check_writable(self) -> None:
        """Raise :class:`~pegboard.errors.RegistryError` if nothing can be written."""


def check_key(key: str, where: object) -> str:
    """Return ``key`` if it is one; raise :class:`~pegboard.errors.RegistryError` if it could mean another place."""
    if _KEY.fullmatch(key) is None:
        raise RegistryError(f"{key!r} is not a key inside {where}")
    return key


def open_store(location: str | Path, *, offline: bool = False) -> Store:
    """Return the store at a location: a path, ``file:PATH``, or ``s3://BUCKET/PREFIX``.

    ``offline`` goes on from what this machine has read of the store when it is away.
    """
    from pegboard.stores.file import FileStore

    found = _URL.fullmatch(str(location)) if isinstance(location, str) else None
    if found is None:
        return FileStore(location)
    if found[1] == "file":
        return FileStore(unquote(urlsplit(str(location)).path) if found[2].startswith("//") else found[2])
    if found[1] == "s3":
        from pegboard.stores.s3 import S3Store

        return S3Store(str(location), offline=offline)
    hint = did_you_mean(found[1], SCHEMES) or "; a registry is a directory, or s3://bucket/prefix"
    raise RegistryError(f"{location}: no store is called {found[1]!r}{hint}")
