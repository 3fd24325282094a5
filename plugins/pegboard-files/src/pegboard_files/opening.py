"""Opening one file, wherever it is: as bytes on this machine, unpacked, digested, and no more than is allowed."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pegboard import DataError
from pegboard.errors import ConfigError

CHUNK = 2**20
#: How packed files begin. Names are not asked: a web server may unpack a file on the way, and keep its name.
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
UNKNOWN_PACKED = {b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


@dataclass(frozen=True, slots=True)
class Place:
    """One file: its address, how it may be shown, and who fetches it."""

    address: str
    shown: str
    kind: Literal["file", "s3", "http"]


@dataclass(frozen=True, slots=True)
class File:
    """An open file: unpacked bytes to read, and the size and digest of what lies there (packed, if it is)."""

    handle: IO[bytes]
    size: int
    sha256: str


class Budget:
    """How many bytes all files may have together, unpacked."""

    def __init__(self, most: int) -> None:
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise ConfigError(f"max_bytes is {most!r}: it is a number of bytes, at least 1")
        self._most, self.left = most, most

    def check(self, size: int, shown: str) -> None:
        """Raise :class:`DataError` if so many bytes are too many."""
        if size > self.left:
            raise DataError(
                f"{shown}: the files have more than {self._most:,} bytes together, and several times as much is needed "
                "in memory: if there is enough, set max_bytes"
            )


@contextmanager
def opened(place: Place, budget: Budget) -> Iterator[File]:
    """Open a file; what is remote or packed is copied to a temporary file first."""
    with _raw(place, budget) as raw:
        size = os.fstat(raw.fileno()).st_size
        budget.check(size, place.shown)
        digest = hashlib.sha256()
        while chunk := raw.read(CHUNK):
            digest.update(chunk)
        raw.seek(0)
        with _unpacked(raw, place.shown, budget) as handle:
            budget.left -= os.fstat(handle.fileno()).st_size
            yield File(handle, size, digest.hexdigest())


@contextmanager
def _raw(place: Place, budget: Budget) -> Iterator[IO[bytes]]:
    if place.kind == "file":
        with _local(place) as local:
            yield local
        return
    if place.kind == "s3":
        from pegboard_files.buckets import stream
    else:
        from pegboard_files.web import stream
    with tempfile.TemporaryFile() as file:
        with stream(place) as remote:
            copy(remote, file, place.shown, budget)
        yield file


def _local(place: Place) -> IO[bytes]:
    try:
        return Path(place.address).open("rb")
    except OSError as error:
        raise DataError(f"cannot read {place.shown}: {error.strerror}") from None


@contextmanager
def _unpacked(raw: IO[bytes], shown: str, budget: Budget) -> Iterator[IO[bytes]]:
    start = raw.read(8)
    raw.seek(0)
    for magic, name in UNKNOWN_PACKED.items():
        if start.startswith(magic):
            raise DataError(f"{shown} is packed with {name}: unpack it, or pack it with gzip, bzip2 or xz")
    unpack = next((unpack for magic, unpack in PACKED.items() if start.startswith(magic)), None)
    if unpack is None:
        yield raw
        return
    with tempfile.TemporaryFile() as file:
        try:
            with unpack(raw, "rb") as packed:
                copy(packed, file, shown, budget)
        except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
            raise DataError(f"{shown} is damaged: {error}: fetch it again") from None
        yield file


def copy(source: Any, target: IO[bytes], shown: str, budget: Budget) -> None:
    """Copy as many bytes as the budget allows, and go back to the start."""
    copied = 0
    while chunk := source.read(CHUNK):
        copied += len(chunk)
        budget.check(copied, shown)
        target.write(chunk)
    target.flush()
    target.seek(0)
