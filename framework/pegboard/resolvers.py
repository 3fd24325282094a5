"""Versions that are named by where they are: a bundle's own directory, and a registry in a bucket.

What these give is what a :class:`~pegboard.registry.Registry` gives, so a server does not know the difference.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.errors import PluginError, RegistryError
from pegboard.registry import Registry, Version
from pegboard.signing import Trust
from pegboard.specs import check_name
from pegboard.stores import StoreAway

BUNDLE = "bundle:"

MAKE = "`pegboard models export VERSION DIRECTORY` makes one"
WRITE = "write s3://bucket/prefix/name@alias, s3://bucket/prefix/name/7 or s3://bucket/prefix/name"

_NUMBER = re.compile(r"[0-9]{1,9}")
#: Everything up to the name is the registry's location; a name may be the only thing in a bucket.
_IN_BUCKET = re.compile(r"(?P<location>s3://[^/@]+(?:/[^@]+?)??)/(?P<label>[a-z0-9][a-z0-9-]*(?:/[0-9]{1,9}|@[^/@]+)?)")


@dataclass(frozen=True)
class BundleDirectory:
    """A bundle on this machine's disk, served without any registry: ``bundle:/opt/pegboard/bundle/7``.

    Its name is what its manifest says, its number the directory's own name where that is one, else 0. The directory is
    looked at anew each time, so that a symbolic link can be moved to another one.
    """

    trusted: Trust | None = None

    def resolve(self, reference: str) -> Version:
        """Return the version that lies in the directory now."""
        given = reference.removeprefix(BUNDLE)
        directory = Path(os.path.realpath(given))
        if not given or not os.path.isdir(directory):
            raise RegistryError(f"{reference!r}: there is no directory {given!r}: name that of a bundle; {MAKE}")
        if not os.path.lexists(directory / bundles.MANIFEST):
            raise RegistryError(f"{reference!r}: {directory} is no bundle: it holds no {bundles.MANIFEST}; {MAKE}")
        bundle = bundles.open_bundle(directory)
        number = int(directory.name) if _NUMBER.fullmatch(directory.name) else 0
        created = str(bundle.manifest.get("created_at", ""))
        return Version(_name(bundle), number, bundle.digest, str(directory), created, actor="")

    def open(self, version: Version) -> Bundle:
        """Open the bundle, every file of it checked; refuse one that no trusted key has signed."""
        directory = Path(version.prefix)
        bundle = bundles.open_bundle(directory, version.digest)
        if self.trusted is not None:
            self.trusted.check(bundle.manifest_bytes(), bundles.signatures(directory), str(directory))
        bundles.verify(bundle)
        return bundle


def _name(bundle: Bundle) -> str:
    try:
        return check_name(bundle.name, "model name")
    except PluginError as error:
        raise RegistryError(f"{bundle.directory}: {bundles.MANIFEST}: {error}") from error


@dataclass(frozen=True)
class BucketVersions:
    """Versions in registries on S3, location and name in one: ``s3://models/prices/house-prices@production``.

    What was read once is known while the store is away, as it is to a server that is told where its registry is.
    """

    trusted: Trust | None = None
    _registries: dict[str, Registry] = field(default_factory=dict, init=False)
    _homes: dict[str, Registry] = field(default_factory=dict, init=False)

    def resolve(self, reference: str) -> Version:
        """Return the version that the name means now."""
        match = _IN_BUCKET.fullmatch(reference)
        if match is None:
            raise RegistryError(f"{reference!r} names no version in a bucket: {WRITE}")
        registry = self._registry(match["location"])
        try:
            version = registry.resolve(match["label"])
        except StoreAway:
            raise
        except RegistryError as error:
            raise RegistryError(f"{reference!r}: {error} ({WRITE})") from error
        self._homes[version.prefix] = registry  # which is random: no two registries have the same
        return version

    def open(self, version: Version) -> Bundle:
        """Open a version's bundle in the registry that has named it."""
        return self._homes[version.prefix].open(version)

    def _registry(self, location: str) -> Registry:
        if location not in self._registries:
            self._registries[location] = Registry(location, self.trusted, offline=True)
        return self._registries[location]
