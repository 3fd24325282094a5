"""What this machine keeps of a store elsewhere.

The directory is ``PEGBOARD_CACHE``, else ``$XDG_CACHE_HOME/pegboard``, else ``~/.cache/pegboard``::

    bundles/<digest>/…     files of bundles, each whole and checked
    keys/<store>/<key>     what other keys held: ledger entries, signatures, records of runs
    partial/               what is on its way; a download that was cut off is continued from here

All of it can be had again, so it may be deleted at any time, while servers run as well: ``rm -r ~/.cache/pegboard``.
That is also how it is kept small; nothing in it is removed by itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pegboard import bundle as bundles
from pegboard.errors import BundleError, RegistryError
from pegboard.stores import StoreAway

#: Gives the bytes of a bundle's file from a start up to a size.
Download = Callable[[str, int, int], Iterator[bytes]]

#: No manifest is larger; the sizes of the other files stand in it.
MANIFEST_BYTES = 1 << 27


def cache_directory() -> Path:
    """Return the directory of the cache; nothing is made."""
    if chosen := os.environ.get("PEGBOARD_CACHE"):
        return Path(chosen).absolute()
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent).absolute() / "pegboard"
    try:
        return Path.home() / ".cache" / "pegboard"
    except RuntimeError:
        raise RegistryError("this user has no home directory to keep a cache in: set PEGBOARD_CACHE") from None


class KeyCache:
    """What keys of one store held.

    Each file begins with the store's tag for the content and the SHA-256 of the content, so that a damaged or an
    outdated one counts as none. A cache that cannot be written costs time, and nothing else.
    """

    def __init__(self, cache: Path, store: str) -> None:
        self._directory = cache / "keys" / hashlib.sha256(store.encode()).hexdigest()
        self._partial = cache / "partial"

    def get(self, key: str, tag: str = "") -> bytes | None:
        """Return what a key held, ``None`` if that is not known, or was under another tag than the one given."""
        try:
            header, _, data = (self._directory / key).read_bytes().partition(b"\n")
        except OSError:
            return None
        known, _, digest = header.decode("latin-1").rpartition(" ")
        whole = hashlib.sha256(data).hexdigest() == digest
        return data if whole and tag in ("", known) else None

    def put(self, key: str, tag: str, data: bytes) -> None:
        """Keep what a key holds."""
        path, partial = self._directory / key, self._partial / uuid.uuid4().hex
        with suppress(OSError):
            partial.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(f"{tag} {hashlib.sha256(data).hexdigest()}\n".encode("latin-1") + data)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Return the names directly under a prefix whose contents are known, sorted."""
        try:
            return sorted(entry.name for entry in os.scandir(self._directory / prefix) if entry.is_file())
        except OSError:
            return []

    def drop(self, key: str) -> None:
        """Forget a key."""
        with suppress(OSError):
            (self._directory / key).unlink()


class BundleCache:
    """The files of one bundle, brought here one by one; its digest is its name, whichever store it came from."""

    def __init__(self, cache: Path, digest: str, download: Download) -> None:
        self.directory = cache / "bundles" / digest
        self._digest, self._download = digest, download
        self._partial = cache / "partial" / digest

    def fetch(self, name: str) -> None:
        """Bring a file here, unless it is here whole.

        A download that was cut off is continued. Of several processes one downloads, and the others wait for it.
        Raises :class:`~pegboard.errors.BundleError` for a file that is not what it should be, which is not kept, and
        :class:`~pegboard.stores.StoreAway` if the store goes away; what came until then is kept for the next time.
        """
        size, sha256 = self._expected(name)
        path, partial = self.directory / name, self._partial / f"{name}.part"
        if _digest(path) == sha256:
            return
        try:
            with _alone(self._partial / f"{name}.lock"):
                if _digest(path) != sha256:
                    self._bring(name, partial, size, sha256)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    partial.replace(path)
        except OSError as error:
            raise RegistryError(
                f"cannot write to the cache at {self.directory}: {error}; make room, or set PEGBOARD_CACHE"
            ) from error

    def _expected(self, name: str) -> tuple[int, str]:
        """Return the size and SHA-256 of a file; the manifest vouches for the others, and is here before them."""
        if name == bundles.MANIFEST:
            return MANIFEST_BYTES, self._digest
        self.fetch(bundles.MANIFEST)
        file = bundles.open_bundle(self.directory, self._digest).manifest["files"].get(name)
        if file is None:
            raise BundleError(f"{self.directory}: the manifest knows no file {name!r}")
        return int(file["size"]), str(file["sha256"])

    def _bring(self, name: str, partial: Path, size: int, sha256: str) -> None:
        """Leave the whole file at ``partial``; begin anew, once, if what was there already has spoilt it."""
        continued = partial.is_file()
        self._fill(name, partial, size)
        if _digest(partial) == sha256:
            return
        partial.unlink()
        if not continued:
            raise BundleError(
                f"{self.directory}: {name} in the registry does not have the digest {sha256[:12]}…; "
                f"it was altered or cut: {bundles.REMEDY}"
            )
        self._bring(name, partial, size, sha256)

    def _fill(self, name: str, partial: Path, size: int) -> None:
        """Download what is missing; go on after an interruption as long as something comes."""
        with partial.open("ab") as file:
            while (start := file.tell()) < size:
                try:
                    for chunk in self._download(name, start, size):
                        file.write(chunk)
                    return
                except StoreAway:
                    if file.tell() == start:
                        raise


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that other processes and threads wait for, and that ends with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
