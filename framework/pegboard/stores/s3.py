"""A store in a bucket of S3, or of anything that speaks its protocol and knows conditional writes.

Credentials, region, profile and endpoint are AWS's own settings (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …).
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pegboard.errors import RegistryError
from pegboard.stores import Fetch, StoreAway, aws, check_key
from pegboard.stores.cache import BundleCache, KeyCache, cache_directory

#: A key that nobody can name, since no name begins with a dot: whether it can be written says that any can.
PROBE = ".writable"
#: How often a conflict with a write under way, which S3 wants to have tried again, is tried again.
CONFLICTS = 8
CHUNK_BYTES = 1 << 20

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_jitter = random.SystemRandom()

logger = logging.getLogger("pegboard")


class S3Store:
    """A store at ``s3://BUCKET/PREFIX``; the prefix may be left out.

    What is read is kept in ``cache`` (:mod:`pegboard.stores.cache`). With ``offline``, a store that is away is
    answered for by what was read before; a server wants that, a writer does not.
    """

    def __init__(self, location: str, cache: Path | None = None, *, offline: bool = False) -> None:
        self.bucket, self.prefix = _parse(location)
        self._offline, self._is_away = offline, False
        self._made = (os.getpid(), aws.connect(str(self)))
        self._cache = cache or cache_directory()
        endpoint = self._client.meta.endpoint_url
        self._known = KeyCache(self._cache, f"{endpoint} {self}")
        self._tags: dict[str, str] = {}

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that does not exist yet; return ``False`` if it exists already.

        A key that holds these very bytes counts as written by this call, whose answer may have been lost on the way
        and the request repeated: contenders write what nobody else writes. When the store is away in the middle
        (:class:`~pegboard.stores.StoreAway`), whether the key was written is not known.
        """
        if self._put(check_key(key, self), data):
            return True
        return self.read(key, fresh=True) == data

    def read(self, key: str, fresh: bool = False) -> bytes:
        """Return what a key holds; raise :class:`~pegboard.errors.RegistryError` if there is no such key.

        What was read before comes from this machine, unless the last listing has shown that the key was rewritten.
        """
        if not fresh and (kept := self._kept(key)) is not None:
            return kept
        return self._get(key, keep=not fresh)

    def read_many(self, keys: Sequence[str], fresh: bool = False) -> list[bytes]:
        """Return what each key holds, as :meth:`read` does; what has to be asked for is asked for side by side."""
        found = {} if fresh else {key: kept for key in keys if (kept := self._kept(key)) is not None}
        missing = [key for key in keys if key not in found]
        with ThreadPoolExecutor(aws.CONNECTIONS) as pool:
            found |= zip(missing, pool.map(partial(self._get, keep=not fresh), missing), strict=True)
        return [found[key] for key in keys]

    def names(self, prefix: str, after: str = "") -> list[str]:
        """Return the names directly under a prefix, sorted; only those that sort behind ``after``.

        Keys of others, whose names could not be ours, are left out.
        """
        check_key(prefix, self)
        known = self._known.names(prefix)
        try:
            names = self._listed(prefix, after)
        except StoreAway as away:
            if not self._offline or not known:  # nothing known at all: it is not known what is behind either
                raise
            self._note(away)
            return [name for name in known if name > after]
        self._note(None)
        for name in {name for name in known if name > after} - set(names):
            self._known.drop(f"{prefix}/{name}")
        return names

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        self._known.drop(check_key(key, self))
        with aws.answers(str(self)):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def modified(self, key: str) -> datetime:
        """Return when a key was created, in UTC."""
        with aws.answers(str(self), check_key(key, self)):
            answer = self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        modified: datetime = answer["LastModified"]
        return modified.astimezone(UTC)

    def local(self, prefix: str, digest: str) -> tuple[Path, Fetch]:
        """Return the directory in the cache for the bundle with this digest, and what brings a file of it there."""
        check_key(prefix, self)
        bundle = BundleCache(self._cache, digest, lambda name, start, size: self._part(f"{prefix}/{name}", start, size))
        return bundle.directory, bundle.fetch

    def check_writable(self) -> None:
        """Raise :class:`~pegboard.errors.RegistryError` if nothing can be written, or not conditionally.

        The probe stays, empty: to be refused because it is there needs the right to write it, and to be refused is
        what every ledger entry leans on. Deleting it would ask for a right that writers need not have.
        """
        if self._put(PROBE, b"") and self._put(PROBE, b""):
            raise RegistryError(
                f"{self} replaces what exists (it ignores If-None-Match), so that writers would overwrite one another: "
                "use a store that knows conditional writes"
            )

    @property
    def _client(self) -> Any:
        """The client of this process: one that a fork has inherited shares its connections with the parent."""
        if self._made[0] != os.getpid():
            self._made = (os.getpid(), aws.connect(str(self)))
        return self._made[1]

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _kept(self, key: str) -> bytes | None:
        return self._known.get(check_key(key, self), self._tags.get(key, ""))

    def _get(self, key: str, keep: bool) -> bytes:
        with aws.answers(str(self), check_key(key, self)):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
            data: bytes = answer["Body"].read()
        if keep:
            self._known.put(key, answer["ETag"], data)
        return data

    def _put(self, key: str, data: bytes) -> bool:
        """Write a key unless it exists; return ``False`` if it does."""
        from botocore.exceptions import ClientError

        for attempt in range(1, CONFLICTS + 1):
            with aws.answers(str(self)):
                try:
                    self._client.put_object(
                        Bucket=self.bucket, Key=self._full(key), Body=data, IfNoneMatch="*", ChecksumAlgorithm="SHA256"
                    )
                    return True
                except ClientError as error:
                    if aws.code(error) == "PreconditionFailed":
                        return False
                    if aws.code(error) != "ConditionalRequestConflict":
                        raise
            time.sleep(_jitter.uniform(0, 0.05 * 2**attempt))
        raise StoreAway(f"{self}: {key} was being written by others {CONFLICTS} times in a row; try again")

    def _listed(self, prefix: str, after: str) -> list[str]:
        under = f"{self._full(prefix)}/"
        behind = {"StartAfter": under + after} if after else {}
        names: set[str] = set()
        with aws.answers(str(self)):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=under, Delimiter="/", **behind):
                files = {found["Key"].removeprefix(under): found["ETag"] for found in page.get("Contents", ())}
                self._tags |= {f"{prefix}/{name}": tag for name, tag in files.items()}
                names.update(files)
                names.update(found["Prefix"][len(under) : -1] for found in page.get("CommonPrefixes", ()))
        return sorted(name for name in names if name > after and _is_name(name))

    def _part(self, key: str, start: int, size: int) -> Iterator[bytes]:
        """Give the bytes of a key from ``start`` up to ``size``, or up to its end if that comes first."""
        from botocore.exceptions import ClientError

        with aws.answers(str(self), key):
            try:
                answer = self._client.get_object(
                    Bucket=self.bucket, Key=self._full(key), Range=f"bytes={start}-{size - 1}"
                )
            except ClientError as error:
                if aws.code(error) == "InvalidRange":  # it ends before the start
                    return
                raise
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

    def _note(self, away: StoreAway | None) -> None:
        """Log once that the store has gone, and once that it is back."""
        if away is not None and not self._is_away:
            logger.warning("%s; going on from what was read before", away)
        elif away is None and self._is_away:
            logger.warning("%s answers again", self)
        self._is_away = away is not None


def _parse(location: str) -> tuple[str, str]:
    bucket, _, given = location.removeprefix("s3://").partition("/")
    if not location.startswith("s3://") or _BUCKET.fullmatch(bucket) is None:
        raise RegistryError(f"{location!r} names no bucket: write s3://bucket/prefix, the bucket as S3 calls it")
    prefix = given.removesuffix("/")
    if given and not _is_key(prefix):
        raise RegistryError(
            f"{location!r}: {given!r} is no prefix: write letters, digits, '.', '_' and '-', and '/' between"
        )
    return bucket, prefix


def _is_name(name: str) -> bool:
    return "/" not in name and _is_key(name)


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key, ""))
    except RegistryError:
        return False
