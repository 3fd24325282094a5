"""From a ``pyarrow.Table`` of anybody's to the columns that a signature knows: numbers, booleans and texts.

Columns that are none of these are refused by name, with what helps. Nothing is converted that a person would not
expect: dates are not made numbers, and numbers that were written as texts stay texts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pegboard.errors import DataError
from pegboard.specs import Kind

if TYPE_CHECKING:
    from pegboard.declared import Declaration

logger = logging.getLogger("pegboard")

#: A text column of which this share looks like something else is taken for that.
MOST = 0.95
#: Tables smaller than this say nothing about what a column is like.
ENOUGH_ROWS = 20
DATE = r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d{2}.*)?\s*$"


def checked_frame(table: pa.Table, declared: Declaration) -> pd.DataFrame:
    """Return the columns that are used, as pandas has them; warn of features that look like keys.

    Numbers are float64 and int64 (Int64 with nulls), booleans bool (boolean with nulls), texts ``str``. Raises
    :class:`DataError` for a column that is missing, or of no kind.
    """
    used = declared.wanted(table.column_names)
    columns = {name: _column(table, name, declared) for name in used}
    plain = pa.table(columns)
    # An integer column with nulls would become float64, and so a number.
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = plain.to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    for name in used:
        if not plain[name].null_count and pa.types.is_primitive(plain[name].type):
            frame[name] = plain[name].to_numpy()
    if not declared.features:
        for name in used:
            if name not in (declared.target, *declared.keys):
                _warn_of_key(name, plain[name])
    return frame


def _column(table: pa.Table, name: str, declared: Declaration) -> pa.ChunkedArray:
    column = _plain(table[name])
    if name in declared.keys:
        return _key(name, column)
    kind = declared.kinds.get(name)
    if what := _unusable(column, kind):
        leave = "" if name == declared.target else f'leave it out with drop = ["{name}"], or '
        raise DataError(f"column {name!r} holds {what}, and Pegboard has no kind for them: {leave}{declared.remedy}")
    return _of_kind(column, kind)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bring a column to int64, float64, bool or string, if it is one of their relatives."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or kind == pa.uint64():
        return column.cast(pa.float64(), safe=False)
    return column


def _unusable(column: pa.ChunkedArray, kind: Kind | None) -> str:
    """Say what a column holds that is no feature and no target; or nothing."""
    found = column.type
    if pa.types.is_temporal(found):
        return f"dates or times ({found})"
    if pa.types.is_nested(found):
        return f"lists or objects ({found})"
    if pa.types.is_string(found) and kind is None and _share(pc.match_substring_regex(column, DATE)) >= MOST:
        first = column.drop_null()[0].as_py()
        return f'dates as texts ({first!r}; where they are meant as texts, features = {{"…" = "category"}} says so)'
    usable = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_decimal)
    if any(is_one(found) for is_one in usable) or pa.types.is_null(found):
        return ""
    return f"values of type {found}"


def _share(mask: pa.ChunkedArray) -> float:
    """Return the share of true values among those that are not null."""
    return float(pc.mean(mask).as_py() or 0.0)


def _key(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a key as an integer or a text: a decimal or an UUID as text is the same on any machine."""
    if pa.types.is_int64(column.type) or pa.types.is_string(column.type) or pa.types.is_floating(column.type):
        return column
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise DataError(f"key {name!r} holds values of type {column.type}: a key is an integer or a text")
    return pa.chunked_array([pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())])


def _of_kind(column: pa.ChunkedArray, kind: Kind | None) -> pa.ChunkedArray:
    """Make of a column what it was declared to be, where nothing is lost by it: codes as texts, 0 and 1 as booleans."""
    found = column.type
    if pa.types.is_decimal(found):
        return column.cast(pa.float64())
    if kind == "category" and pa.types.is_integer(found):
        return column.cast(pa.string())
    if kind == "boolean" and pa.types.is_integer(found) and set(pc.unique(column).to_pylist()) <= {0, 1, None}:
        return column.cast(pa.bool_())
    return column


def _warn_of_key(name: str, column: pa.ChunkedArray) -> None:
    """Say so where nearly every row has a text of its own, or the rows are numbered."""
    rows = len(column) - column.null_count
    if rows < ENOUGH_ROWS:
        return
    if pa.types.is_string(column.type):
        telling = pc.count_distinct(column).as_py() < 0.9 * rows
    elif pa.types.is_int64(column.type):
        ends = pc.min_max(column).as_py()
        telling = ends["max"] - ends["min"] + 1 != rows or pc.count_distinct(column).as_py() != rows
    else:
        return
    if not telling:
        logger.warning(
            "column %r has another value in nearly every row, and is a feature all the same: "
            'if it identifies the rows, set keys = ["%s"]; if it is free text or a number of the row, drop = ["%s"]',
            name,
            name,
            name,
        )
