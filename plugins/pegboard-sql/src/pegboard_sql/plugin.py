"""The source ``sql``: the rows of one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegboard import SourceSpec, hookimpl

NAME = "sql"
CHUNK = 10_000
MOST_SECONDS = 600.0


def configure(
    url: str = "",
    query: str = "",
    target: str = "",
    task: str = "",
    keys: str | Sequence[str] = (),
    features: Mapping[str, Any] | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    expectations: Sequence[Mapping[str, Any]] = (),
    signature: str = "",
    url_variable: str = "",
    query_file: str = "",
    params: Mapping[str, Any] | None = None,
    timeout: float = MOST_SECONDS,
    chunk: int = CHUNK,
) -> SourceSpec:
    """Return the source of one query's rows.

    ``url`` is the database's, as SQLAlchemy writes it, without a password; ``url_variable`` names an environment
    variable that holds it, with one if need be. ``query`` is one SELECT, or ``query_file`` a file that holds it;
    ``params`` are bound to its ``:names``. The query may take ``timeout`` seconds, and ``chunk`` rows are fetched at a
    time.

    ``target`` is the column to predict. ``task`` is ``regression`` or ``classification``; without it, texts and
    booleans are classes and numbers are not. ``keys`` identify a row and are never features. ``features`` maps columns
    to kinds (``number``, ``integer``, ``boolean``, ``category``), or lists columns; without it every column is one that
    is neither key nor target nor in ``drop``. ``expectations`` are Great Expectations as plain data. ``signature`` is a
    TOML or JSON file that says all of these instead.

    Raises :class:`~pegboard.errors.ConfigError` for options that make no sense, and :class:`~pegboard.DataError` for
    a database that gives no usable table.
    """
    from pegboard_sql.table import source

    said: dict[str, Any] = {"target": target, "task": task, "keys": keys, "features": features, "drop": drop}
    said |= {"expectations": expectations, "signature": signature}
    asked = {"query": query, "query_file": query_file, "params": params or {}, "timeout": timeout, "chunk": chunk}
    return source(NAME, said, asked, url=url, url_variable=url_variable)


@hookimpl
def register_sources() -> list[SourceSpec]:
    """The one source, of any query."""
    return [SourceSpec(name=NAME, configure=configure, summary="the rows of a query, from any database of SQLAlchemy")]
