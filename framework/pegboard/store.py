"""Where a registry keeps its bytes: four verbs over keys, here on a disk.

Keys are ``/``-separated relative paths. ``create`` is the one operation that everything else leans on: exactly one
of any number of contenders wins a key, and the key never holds a part of what was written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pegboard.errors import RegistryError

#: Where half-written files live until they are whole; what a kill leaves here nobody reads.
PARTIAL = ".partial"


class FileStore:
    """A store in a directory; made when something is first written."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Return where a key's bytes are; refuses keys that would leave the root."""
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
            raise RegistryError(f"{key!r} is not a key inside {self.root}")
        return self.root.joinpath(*parts)

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist yet, durably; return ``False`` if it exists already."""
        path = self.path(key)
        with self._whole(path, data) as partial:
            # A hard link, unlike a rename, refuses to replace; and unlike O_EXCL it appears with its content.
            try:
                os.link(partial, path)
            except FileExistsError:
                return False
        _sync_directory(path.parent)
        return True

    def check_writable(self) -> None:
        """Raise :class:`~pegboard.errors.RegistryError` if nothing can be written; leaves the root made."""
        with self._whole(self.root, b""):
            pass

    def read(self, key: str) -> bytes:
        """Return a key's bytes; raise :class:`~pegboard.errors.RegistryError` if there are none."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            raise RegistryError(f"{self.root} holds no {key}") from None
        except OSError as error:
            raise RegistryError(f"cannot read the registry at {self.root}: {error}") from error

    def names(self, prefix: str) -> list[str]:
        """Return the names directly under a prefix, sorted."""
        try:
            return sorted(entry.name for entry in os.scandir(self.path(prefix)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RegistryError(f"cannot read the registry at {self.root}: {error}") from error

    @contextmanager
    def _whole(self, path: Path, data: bytes) -> Iterator[Path]:
        directory = self.root / PARTIAL
        try:
            _make_directory(directory)
            _make_directory(path.parent)
            partial = directory / uuid.uuid4().hex
            try:
                with partial.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield partial
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise RegistryError(f"cannot write to the registry at {self.root}: {error}") from error


def _make_directory(directory: Path) -> None:
    """Make a directory, and those above it, each name durable before anything is put inside."""
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    """Make a new name durable; the data's own fsync does not."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
