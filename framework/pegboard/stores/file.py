"""A store on a disk."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pegboard.errors import RegistryError
from pegboard.stores import check_key

#: Where half-written files live until they are whole; what a kill leaves here nobody reads.
PARTIAL = ".partial"

#: What helps where nothing can be written.
REMEDIES = {
    errno.ENOSPC: "make room on the disk; nothing was changed",
    errno.EDQUOT: "make room, or have the quota raised; nothing was changed",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EROFS: "mount it for writing",
}


class FileStore:
    """A store in a directory; made when something is first written."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Return where a key's bytes are; refuses keys, and symbolic links, that would leave the root."""
        path = self.root / check_key(key, self.root)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise RegistryError(f"{key!r} leads out of {self.root} by a symbolic link; remove the link")
        return path

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

    def read(self, key: str, fresh: bool = False) -> bytes:  # noqa: ARG002 - a disk is always asked itself
        """Return a key's bytes; raise :class:`~pegboard.errors.RegistryError` if there are none."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            raise RegistryError(f"{self.root} holds no {key}") from None
        except OSError as error:
            raise RegistryError(f"cannot read the registry at {self.root}: {error}") from error

    def read_many(self, keys: Sequence[str], fresh: bool = False) -> list[bytes]:
        """Return what each key holds."""
        return [self.read(key, fresh) for key in keys]

    def names(self, prefix: str, after: str = "") -> list[str]:
        """Return the names directly under a prefix, sorted; only those that sort behind ``after``."""
        try:
            return sorted(entry.name for entry in os.scandir(self.path(prefix)) if entry.name > after)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RegistryError(f"cannot read the registry at {self.root}: {error}") from error

    def delete(self, key: str) -> None:
        """Remove a key, and its directory with the last one in it; one that is not there is no error."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
            if path.parent != self.root and path.parent.is_dir() and not any(os.scandir(path.parent)):
                path.parent.rmdir()
        except OSError as error:
            raise RegistryError(f"cannot remove {key} from the registry at {self.root}: {error}") from error

    def modified(self, key: str) -> datetime:
        """Return when a key was created, in UTC."""
        try:
            return datetime.fromtimestamp(self.path(key).stat().st_mtime, UTC)
        except FileNotFoundError:
            raise RegistryError(f"{self.root} holds no {key}") from None
        except OSError as error:
            raise RegistryError(f"cannot read the registry at {self.root}: {error}") from error

    def local(self, prefix: str, digest: str) -> tuple[Path, None]:  # noqa: ARG002 - it is where it is
        """Return the bundle's own directory: on a disk nothing needs to be fetched."""
        return self.path(prefix), None

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
            remedy = REMEDIES.get(error.errno or 0, "see whether the directory is what it should be")
            raise RegistryError(f"cannot write to the registry at {self.root}: {error}; {remedy}") from error


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
