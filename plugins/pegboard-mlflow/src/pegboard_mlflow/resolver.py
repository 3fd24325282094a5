"""Versions by their names in MLflow, and their bundles through Pegboard's own cache."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pegboard.bundle import SIGNATURES, Bundle, open_bundle
from pegboard.errors import RegistryError
from pegboard.registry import Version
from pegboard.stores import check_key
from pegboard.stores.cache import BundleCache, KeyCache, cache_directory
from pegboard_mlflow.connection import MlflowAway, Server, connected, tracking_server
from pegboard_mlflow.facts import DIGEST, VERSION
from pegboard_mlflow.models import BUNDLE

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from pegboard.signing import Trust

logger = logging.getLogger("pegboard")

REMEDY = "start it, or see to MLFLOW_TRACKING_URI and its credentials"
CHUNK_BYTES = 1 << 20

_REFERENCE = re.compile(r"models:/(?P<name>[a-z0-9][a-z0-9-]*)(?:/(?P<number>[0-9]{1,9})|@(?P<alias>[\w.-]+))")
_VERSION = re.compile(r"([a-z0-9][a-z0-9-]*)/([0-9]{1,9})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class MlflowVersions:
    """The versions that the MLflow server has of Pegboard's; what was asked once is known while the server is away.

    With ``trusted``, bundles that none of these keys has signed are not opened.
    """

    def __init__(self, trusted: Trust | None = None) -> None:
        self._trusted = trusted
        self._keys = KeyCache(cache_directory(), f"mlflow {tracking_server()}")
        self._is_away = False

    def resolve(self, reference: str) -> Version:
        """Return the version that ``models:/name/3`` (MLflow's number) or ``models:/name@alias`` names now."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise RegistryError(f"{reference!r} names no version in MLflow: write models:/name@alias or models:/name/3")
        name, number, alias = match["name"], match["number"], match["alias"]
        key = f"versions/{name}/{number or f'@{alias}'}"
        try:
            with connected(REMEDY) as server:
                client = server.client
                found = _version(
                    client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
                )
        except MlflowAway as away:
            return self._known(key, away)
        self._note(None)
        self._keys.put(key, "", json.dumps(asdict(found)).encode())
        return found

    def open(self, version: Version) -> Bundle:
        """Open a version's bundle, its files being brought here and checked one by one.

        Refuses one whose manifest has not the digest in the version's tag, or that no trusted key has signed.
        """
        cache = BundleCache(cache_directory(), version.digest, partial(_download, version))
        bundle = open_bundle(cache.directory, version.digest, cache.fetch)
        if self._trusted is not None:
            self._trusted.check(bundle.manifest_bytes(), self._signatures(version), str(version))
        return bundle

    def _known(self, key: str, away: MlflowAway) -> Version:
        known = self._keys.get(key)
        if known is None:
            raise away
        self._note(away)
        fields = json.loads(known)
        return Version(**{**fields, "aliases": tuple(fields["aliases"])})

    def _signatures(self, version: Version) -> dict[str, bytes]:
        """Return a version's signatures by their keys' ids, and those known of while the server is away."""
        place = f"{SIGNATURES}/{version.digest}"
        with suppress(MlflowAway), connected(REMEDY) as server:
            for name in _names(server, version):
                self._keys.put(f"{place}/{name}", "", b"".join(_read(server, version, f"{SIGNATURES}/{name}")))
        found = {name: self._keys.get(f"{place}/{name}") for name in self._keys.names(place)}
        return {name: data for name, data in found.items() if data is not None}

    def _note(self, away: MlflowAway | None) -> None:
        """Log once that the server has gone, and once that it is back."""
        if away is not None and not self._is_away:
            logger.warning("%s; going on from what was read before", away)
        elif away is None and self._is_away:
            logger.warning("the MLflow server at %s answers again", tracking_server())
        self._is_away = away is not None


def _version(told: ModelVersion) -> Version:
    """Return what a model version's tags say of the version; ``prefix`` is its name in MLflow."""
    here = f"{told.name}/{told.version}"
    label = _VERSION.fullmatch(told.tags.get(VERSION, ""))
    digest = told.tags.get(DIGEST, "")
    if label is None or _DIGEST.fullmatch(digest) is None:
        raise RegistryError(
            f"models:/{here} was not registered by Pegboard: it has no tags {VERSION} and {DIGEST}; "
            "name a version that `pegboard runs sync` has registered"
        )
    at = datetime.fromtimestamp(told.creation_timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    aliases = tuple(sorted(told.aliases or ()))
    return Version(label[1], int(label[2]), digest, here, at, told.user_id or "", aliases)


def _download(version: Version, file: str, start: int, size: int) -> Iterator[bytes]:
    with connected(REMEDY) as server:
        yield from _read(server, version, file, start, size)


def _read(server: Server, version: Version, file: str, start: int = 0, size: int = -1) -> Iterator[bytes]:
    """Yield what MLflow has of a bundle's file, from ``start`` up to ``size`` (-1: all of it)."""
    from mlflow.artifacts import download_artifacts

    partial_files = cache_directory() / "partial"  # the files may be too large for the system's temporary directory
    partial_files.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=partial_files) as directory:
        with server.patience():
            path = download_artifacts(artifact_uri=f"{_place(server, version)}/{file}", dst_path=directory)
        with open(path, "rb") as data:
            data.seek(start)
            left = size - start if size >= 0 else CHUNK_BYTES
            while chunk := data.read(min(CHUNK_BYTES, left)):
                yield chunk
                left -= len(chunk) if size >= 0 else 0


def _names(server: Server, version: Version) -> list[str]:
    """Return the names of a version's signatures."""
    from mlflow.artifacts import list_artifacts

    place = _place(server, version)
    there = list_artifacts(artifact_uri=f"{place}/{SIGNATURES}")
    return [check_key(PurePosixPath(file.path).name, place) for file in there if not file.is_dir]


def _place(server: Server, version: Version) -> str:
    name, _, number = version.prefix.partition("/")
    return f"{server.client.get_model_version_download_uri(name, number)}/{BUNDLE}"
