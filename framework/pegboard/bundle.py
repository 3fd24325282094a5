"""One trained version on disk: write it, verify it, read it.

A bundle is a directory. Its ``manifest.json`` says everything about it, the SHA-256 and size of every other file
included, so the manifest's own SHA-256 is the bundle's identity. Nothing is unpickled before its bytes have been
checked against the manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pegboard.errors import BundleError
from pegboard.leaderboard import Leaderboard
from pegboard.requirements import Requirements, refuse_lacking
from pegboard.signature import Signature
from pegboard.stores import Fetch

FORMAT = 2
MANIFEST = "manifest.json"
PIPELINE = "pipeline.joblib"
REPLAY = "replay.json"
VALIDATION = "validation.json"
#: The directory of the signatures, each under its key's id; what is signed is the manifest.
SIGNATURES = "signatures"

#: What helps a damaged bundle.
REMEDY = "restore it from a copy, or train again"

_NEEDED: dict[str, type] = {"name": str, "model": str, "files": dict, "python": str, "plugins": list}
_NEEDED |= dict.fromkeys(("signature", "leaderboard", "metrics", "data", "libraries", "requirements"), dict)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: a directory whose manifest was read; ``digest`` is the manifest's SHA-256.

    With ``fetch``, the files are elsewhere, and each is brought into the directory before it is read.
    """

    directory: Path
    digest: str
    manifest: Mapping[str, Any]
    fetch: Fetch | None = None

    @property
    def name(self) -> str:
        """The experiment's name: what the registry files it under."""
        return str(self.manifest["name"])

    @property
    def model(self) -> str:
        """The name of the model that won."""
        return str(self.manifest["model"])

    @cached_property
    def signature(self) -> Signature:
        """The columns it takes."""
        return Signature.from_dict(self.manifest["signature"])

    @cached_property
    def requirements(self) -> Requirements:
        """The distributions that it needs to predict."""
        return Requirements.from_dict(self.manifest["requirements"])

    @cached_property
    def leaderboard(self) -> Leaderboard:
        """The comparison it won."""
        return Leaderboard.from_dict(self.manifest["leaderboard"])

    def read(self, file: str) -> bytes:
        """Return a file's bytes after checking them against the manifest."""
        if file not in self.manifest["files"]:
            raise BundleError(f"{self.directory}: the manifest knows no file {file!r}")
        if self.fetch is not None:
            self.fetch(file)
        try:
            data = (self.directory / file).read_bytes()
        except OSError as error:
            raise BundleError(f"{self.directory}: cannot read {file}: {error.strerror}; {REMEDY}") from error
        return self.checked(file, data)

    def checked(self, file: str, data: bytes) -> bytes:
        """Return a file's bytes, wherever they come from, if they are what the manifest says."""
        expected = self.manifest["files"][file]
        if len(data) != expected["size"] or hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise BundleError(
                f"{self.directory}: {file} is not what the manifest says; it was altered or cut: {REMEDY}"
            )
        return data

    def manifest_bytes(self) -> bytes:
        """Return the bytes whose SHA-256 is the bundle's identity: what is signed."""
        data = (self.directory / MANIFEST).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise BundleError(f"{self.directory}: {MANIFEST} was altered: {REMEDY}")
        return data

    def replay(self) -> Mapping[str, Any]:
        """Return the stored rows and what the pipeline answered for them when it was published."""
        replay: Mapping[str, Any] = json.loads(self.read(REPLAY))
        return replay

    def pipeline(self) -> Any:
        """Unpickle the pipeline, its digest and what it needs checked first, and nothing loaded that may not be."""
        from pegboard import unpickling

        data = self.read(PIPELINE)
        refuse_lacking(self)
        return unpickling.load(data, str(self.directory / PIPELINE))


def write(directory: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle into an empty directory, the manifest last, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    digests = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    whole = {"format": FORMAT, **manifest, "files": digests}
    for name, data in files.items():
        (directory / name).write_bytes(data)
    data = (json.dumps(whole, indent=1, sort_keys=True, allow_nan=False, default=str) + "\n").encode()
    (directory / MANIFEST).write_bytes(data)
    return open_bundle(directory)


def open_bundle(directory: Path, digest: str | None = None, fetch: Fetch | None = None) -> Bundle:
    """Read a bundle's manifest; with ``digest``, refuse any other than that one.

    Files are checked when they are read, or all at once by :func:`verify`.
    """
    if fetch is not None:
        fetch(MANIFEST)
    try:
        data = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"{directory} is not a bundle: cannot read {MANIFEST}: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if digest is not None and found != digest:
        raise BundleError(f"{directory}: the manifest was altered: its digest is {found[:12]}…, not {digest[:12]}…")
    return Bundle(directory, found, _parse(data, directory), fetch)


def verify(bundle: Bundle) -> None:
    """Read every file and refuse what the manifest does not know; raise :class:`BundleError` on the first finding."""
    refuse_unknown(bundle, [path.name for path in bundle.directory.iterdir()])
    for file in bundle.manifest["files"]:
        bundle.read(file)


def refuse_unknown(bundle: Bundle, present: Iterable[str]) -> None:
    """Raise :class:`BundleError` if there are files that the manifest does not know."""
    if unknown := set(present) - {MANIFEST, SIGNATURES, *bundle.manifest["files"]}:
        raise BundleError(f"{bundle.directory}: not in the manifest: {', '.join(sorted(unknown))}; remove them")


def signatures(directory: Path) -> dict[str, bytes]:
    """Return the signatures that lie beside a bundle's manifest, by their keys' ids."""
    try:
        return {path.name: path.read_bytes() for path in sorted((directory / SIGNATURES).iterdir())}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BundleError(f"{directory}: cannot read {SIGNATURES}: {error.strerror}; {REMEDY}") from error


def _parse(data: bytes, directory: Path) -> Mapping[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(data)
        found = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{directory}: {MANIFEST} is not a bundle's manifest ({error!r}); {REMEDY}") from error
    if found != FORMAT:
        older = type(found) is int and found < FORMAT
        remedy = "it was made by an older Pegboard: train again" if older else "upgrade Pegboard"
        raise BundleError(f"{directory} has format {found}; this Pegboard reads format {FORMAT}: {remedy}")
    if problem := _problem(manifest):
        raise BundleError(f"{directory}: {MANIFEST} {problem}; {REMEDY}")
    return manifest


def _problem(manifest: Mapping[str, Any]) -> str | None:
    for key, kind in _NEEDED.items():
        if not isinstance(manifest.get(key), kind):
            return f"does not say {key}"
    try:
        Requirements.from_dict(manifest["requirements"])
    except ValueError as error:
        return f"does not say requirements ({error})"
    if PIPELINE not in manifest["files"]:
        return f"knows no {PIPELINE}"
    for name, file in manifest["files"].items():
        if not _FILE_NAME.fullmatch(name):
            return f"names {name!r}, which cannot be a file of a bundle"
        if not (isinstance(file, dict) and type(file.get("size")) is int and isinstance(file.get("sha256"), str)):
            return f"does not say size and sha256 of {name}"
    return None
