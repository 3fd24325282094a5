"""Digests of a table's content, the same on any machine and with any version of the libraries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.frames import Column, plain_label


def fingerprint(frame: pd.DataFrame, target: Column) -> str:
    """SHA-256 over the canonical columns and the target: the same content gives the same digest on any machine."""
    digest = hashlib.sha256()
    for name, values in [*((str(n), frame[n].to_numpy()) for n in frame.columns), ("", target)]:
        digest.update(f"{name}\x1f{len(values)}\x1f".encode())
        digest.update(_content(values))
    return digest.hexdigest()


def _content(values: Column) -> bytes:
    if values.dtype != object:
        return np.ascontiguousarray(values, dtype=np.float64).astype("<f8").tobytes()
    # Lengths in front, so that no text can imitate a boundary.
    return "".join("-" if isinstance(v, float) else f"{len(v)}:{v}" for v in values).encode("utf-8", "surrogatepass")


def row_shares(columns: Iterable[Column], rows: int) -> npt.NDArray[np.float64]:
    """Map each row to a number in [0, 1) that depends on nothing but the row's own values.

    It stays the same when rows are added, removed or reordered, and across platforms and library versions; equal
    rows get equal numbers.
    """
    texts = [_texts(values) for values in columns]
    joined = map("\x1f".join, zip(*texts, strict=True)) if texts else iter([""] * rows)
    digests = (
        int.from_bytes(hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=6).digest()) for t in joined
    )
    return np.fromiter(digests, dtype=np.float64, count=rows) / 2.0**48


def _texts(values: Column) -> list[str]:
    if values.dtype == object:
        return [v if isinstance(v, str) else repr(plain_label(v)) for v in values.tolist()]
    if values.dtype.kind in "iu":
        return list(map(repr, values.tolist()))
    return [repr(int(v)) if v.is_integer() else repr(v) for v in values.astype(np.float64).tolist()]
