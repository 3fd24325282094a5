"""Files on S3, through the same client and with the same settings as a registry there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fsspec.utils import glob_translate

from pegboard import DataError
from pegboard.stores.aws import answers, connect
from pegboard_files.opening import Place

WILDCARD = re.compile(r"[*?\[]")
#: How many keys are listed at a time; S3 gives no more.
PAGE = 1000
NEEDS = "s3:// needs boto3: pip install 'pegboard-files[s3]'"


def listed(bucket: str, pattern: str) -> list[Place]:
    """Return the objects that a key or a glob means, in the order of their keys."""
    if not pattern or not bucket:
        raise DataError(f"s3://{bucket}/{pattern} names no object: write s3://BUCKET/KEY")
    prefix = WILDCARD.split(pattern, maxsplit=1)[0]
    if prefix == pattern:
        return [_place(bucket, pattern)]
    try:
        fits = re.compile(glob_translate(pattern))
    except ValueError as error:
        raise DataError(f"s3://{bucket}/{pattern}: {error}") from None
    with answers(f"s3://{bucket}"):
        pages = (
            _client(bucket)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE})
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return [_place(bucket, key) for key in sorted(keys) if fits.match(key) and not key.endswith("/")]


@contextmanager
def stream(place: Place) -> Iterator[Any]:
    """Open an object's bytes."""
    bucket, _, key = place.address.partition("/")
    with answers(f"s3://{bucket}", key):
        yield _client(bucket).get_object(Bucket=bucket, Key=key)["Body"]


def _place(bucket: str, key: str) -> Place:
    return Place(f"{bucket}/{key}", f"s3://{bucket}/{key}", "s3")


def _client(bucket: str) -> Any:
    try:
        import boto3  # noqa: F401 - the message of connect names another distribution
    except ImportError:
        raise DataError(NEEDS) from None
    return connect(f"s3://{bucket}")
