"""A bundle copied out of the registry, whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.errors import BundleError


def export(bundle: Bundle, signatures: Mapping[str, bytes], directory: Path) -> None:
    """Copy a bundle and its signatures into a directory that is not there yet, or is empty; nothing is unpickled.

    Each file is checked against the manifest as it is read. The directory gets its name when all of it is there.
    Raises :class:`~pegboard.errors.BundleError`, and leaves nothing behind.
    """
    target = Path(os.path.realpath(directory))
    try:
        if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
            raise BundleError(f"{directory} is there already, and is not empty: name a directory that is not there yet")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            _write(bundle, signatures, partial)
            partial.rename(target)  # which refuses to replace a directory that has been filled meanwhile
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"cannot write {directory}: {error.strerror}; name a directory elsewhere") from error


def _write(bundle: Bundle, signatures: Mapping[str, bytes], directory: Path) -> None:
    # Not a temporary directory of the library's: those are closed to everybody but their owner.
    directory.mkdir()
    for file in bundle.manifest["files"]:
        (directory / file).write_bytes(bundle.read(file))
    (directory / bundles.MANIFEST).write_bytes(bundle.manifest_bytes())
    if signatures:
        (directory / bundles.SIGNATURES).mkdir()
    for key, signature in signatures.items():
        (directory / bundles.SIGNATURES / key).write_bytes(signature)
