"""Asking a query, and putting the rows that come, a chunk at a time, into one table."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import CursorResult, text
from sqlalchemy.exc import SQLAlchemyError, StatementError

from pegboard import DataError
from pegboard_sql.address import Address
from pegboard_sql.dialects import begin, engine, server

if TYPE_CHECKING:
    from pegboard_sql.table import Question


def read(there: Address, question: Question, keys: Collection[str]) -> tuple[pa.Table, str]:
    """Return the query's rows, and which server gave them; raise :class:`DataError`, with no secret in it."""
    made = engine(there.url)
    opened = False
    try:
        with made.connect() as connection:
            opened = True
            # Nothing is ever committed: what a dialect without read-only transactions has written is rolled back.
            ready = begin(connection, question.timeout, question.chunk)
            result = ready.execute(text(question.query), dict(question.params))
            return _table(result, question, keys), server(ready)
    except SQLAlchemyError as error:
        said = there.cleaned(_said(error))
        raise DataError(
            _explained(said, there, question) if opened else f"{there.shown} cannot be opened: {said}"
        ) from None
    finally:
        made.dispose()


def _said(error: SQLAlchemyError) -> str:
    """Return the first line of what the driver says; SQLAlchemy's own text would repeat query and parameters."""
    original = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    return str(original).partition(" (Background on")[0].strip().partition("\n")[0]


def _explained(said: str, there: Address, question: Question) -> str:
    if "statement timeout" in said or said == "interrupted":
        return f"the query took longer than {question.timeout:g} seconds: make it cheaper, or set timeout"
    if "bind parameter" in said:
        return f'{said}: set it with params = {{name = value}}; a colon that begins no name is written "\\:"'
    return f"{there.shown} refuses the query: {said}"


def _table(result: CursorResult[Any], question: Question, keys: Collection[str]) -> pa.Table:
    if not result.returns_rows:
        raise DataError("the query gives no rows: write one SELECT")
    names = list(result.keys())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"the query gives columns more than once: {', '.join(twice)}: rename them (… as …)")
    deadline = time.monotonic() + question.timeout
    chunks = []
    for rows in result.partitions(question.chunk):
        if time.monotonic() > deadline:
            raise DataError(f"the rows took longer than {question.timeout:g} seconds to come: set timeout")
        chunks.append(_chunk(names, rows, keys))
    if not chunks:
        raise DataError("the query gives a table without rows: correct its conditions")
    try:
        return pa.concat_tables(chunks, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"a column changes its type from row to row: {error}: cast it in the query") from None


def _chunk(names: Sequence[str], rows: Sequence[Sequence[Any]], keys: Collection[str]) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [_array(name, values, name in keys) for name, values in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(arrays, names=list(names))


def _array(name: str, values: Sequence[Any], is_key: bool) -> pa.Array:
    if any(isinstance(value, Decimal) for value in values):
        # As a key a decimal keeps all of its digits; as a number it is one like any other.
        values = [_exact(value) if is_key else None if value is None else float(value) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeError):
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise DataError(
            f"column {name!r} holds {' and '.join(kinds)} values that make no column: cast it in the query, "
            "to double precision or to text"
        ) from None


def _exact(value: Any) -> str | None:
    return format(value, "f") if isinstance(value, Decimal) else None if value is None else str(value)
