"""The source ``files``: any table in CSV, TSV, Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegboard import SourceSpec, hookimpl

NAME = "files"
MOST_BYTES = 2**30


def configure(
    path: str | Sequence[str] = "",
    target: str = "",
    task: str = "",
    keys: str | Sequence[str] = (),
    features: Mapping[str, Any] | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    expectations: Sequence[Mapping[str, Any]] = (),
    signature: str = "",
    format: str = "",  # noqa: A002 - the option's name
    missing: Sequence[str] | None = None,
    delimiter: str = "",
    decimal: str = ".",
    encoding: str = "utf-8",
    path_variable: str = "",
    max_bytes: int = MOST_BYTES,
) -> SourceSpec:
    """Return the source of the table in ``path``: a file, several, or globs; local, ``s3://`` or ``https://``.

    ``target`` is the column to predict. ``task`` is ``regression`` or ``classification``; without it, texts and
    booleans are classes and numbers are not. ``keys`` identify a row and are never features. ``features`` maps columns
    to kinds (``number``, ``integer``, ``boolean``, ``category``), or lists columns; without it every column is one that
    is neither key nor target nor in ``drop``. ``expectations`` are Great Expectations as plain data. ``signature`` is a
    TOML or JSON file that says all of these instead.

    ``format`` is ``csv``, ``tsv``, ``parquet`` or ``jsonl`` (default: by the name's end). ``missing`` are the texts
    that stand for a missing value in CSV and TSV, ``delimiter`` (default: a comma), ``decimal`` and ``encoding`` how
    these are written. ``path_variable`` names an environment variable that holds the path, for a URL with a secret in
    it. The files may have ``max_bytes`` bytes together, unpacked (default: 1 GiB).

    Raises :class:`~pegboard.errors.ConfigError` for options that make no sense, and :class:`~pegboard.DataError` for
    files that cannot be read.
    """
    from pegboard_files.table import source

    said: dict[str, Any] = {"target": target, "task": task, "keys": keys, "features": features, "drop": drop}
    said |= {"expectations": expectations, "signature": signature}
    form = {"format": format, "missing": missing, "delimiter": delimiter, "decimal": decimal, "encoding": encoding}
    return source(NAME, said, form, path=path, path_variable=path_variable, max_bytes=max_bytes)


@hookimpl
def register_sources() -> list[SourceSpec]:
    """The one source, of any table."""
    return [SourceSpec(name=NAME, configure=configure, summary="any CSV, Parquet or JSON lines, local, S3 or https")]
