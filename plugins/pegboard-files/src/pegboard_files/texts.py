"""Kinds of columns that were read as texts: what a person who looks at the column would say, or an error.

A column is one of booleans or of numbers if all of its values are. Leading zeros make it texts: they are codes, and a
number would lose them. A column where only a few are not numbers is refused: they are mistakes, or stand for nothing.
"""

from __future__ import annotations

import logging

import pyarrow as pa
import pyarrow.compute as pc

from pegboard import DataError
from pegboard.declared import Declaration
from pegboard.specs import Kind
from pegboard.tables import BOOLEANS

logger = logging.getLogger("pegboard")

#: A column in which this share of values are numbers, and the rest are not, is no column of texts.
MOST = 0.95
#: So many values are looked at before all are.
GLANCE = 100
INTEGER = r"^[+-]?[0-9]+$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^(?i:[+-]?(inf|infinity|nan))$"
LEADING_ZERO = r"^[+-]?0[0-9]"
COMMA = r"^[+-]?[0-9]+,[0-9]+$"
BOOLEAN = f"^({'|'.join(BOOLEANS)})$"
TRUE = f"^({'|'.join(text for text, value in BOOLEANS.items() if value)})$"


def typed(table: pa.Table, declared: Declaration, decimal: str) -> pa.Table:
    """Return the table with the types of those columns that are used; keys stay the texts that they are."""
    used = declared.wanted(table.column_names)
    for name in used:
        if name not in declared.keys:
            place = table.column_names.index(name)
            table = table.set_column(place, name, _typed(name, table[name], declared, decimal))
    return table


def _typed(name: str, column: pa.ChunkedArray, declared: Declaration, decimal: str) -> pa.ChunkedArray:
    kind = declared.kinds.get(name)
    present = column.drop_null()
    if kind == "category" or not len(present):
        return column
    if kind == "boolean" or (kind is None and _all(present, BOOLEAN)):
        return _booleans(name, column)
    numbers = pc.utf8_trim_whitespace(column)
    if decimal == ",":
        numbers = pc.replace_substring(numbers, ",", ".")
    if kind is None and _any(numbers, LEADING_ZERO):
        _warn_of_zeros(name, numbers)
        return column
    if kind is None and not _all(numbers, NUMBER):
        _refuse_mixed(name, numbers, declared)
        return column
    return _numbers(name, numbers, kind)


def _matches(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(column, pattern)


def _all(column: pa.ChunkedArray, pattern: str) -> bool:
    if not bool(pc.all(_matches(column.slice(0, GLANCE), pattern), min_count=0).as_py()):
        return False  # most columns show at once what they are not
    return bool(pc.all(_matches(column, pattern)).as_py())


def _any(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(_matches(column, pattern)).as_py())


def _booleans(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if wrong := _first_other(column, BOOLEAN):
        raise DataError(
            f"column {name!r} is declared boolean, and {wrong}: write true or false, or declare it a category"
        )
    return _matches(column, TRUE)


def _numbers(name: str, numbers: pa.ChunkedArray, kind: Kind | None) -> pa.ChunkedArray:
    if kind is not None and (wrong := _first_other(numbers, NUMBER)):
        raise DataError(f"column {name!r} is declared a number, and {wrong}: correct it, or add it to missing")
    unsigned = pc.utf8_ltrim(numbers, "+")  # one at most: NUMBER has been matched
    if not _all(numbers, INTEGER):
        return unsigned.cast(pa.float64())
    try:
        return unsigned.cast(pa.int64())
    except pa.ArrowInvalid:
        raise DataError(
            f'column {name!r} holds integers of more than 64 bits: as a name, keys = ["{name}"]; or '
            f'drop = ["{name}"]; or features = {{"{name}" = "category"}}'
        ) from None


def _first_other(column: pa.ChunkedArray, pattern: str) -> str:
    """Say how many values do not match, and which is the first of them; or nothing."""
    other = pc.invert(_matches(column, pattern)).fill_null(False)
    count = pc.sum(other).as_py() or 0
    if not count:
        return ""
    row = pc.index(other, True).as_py()
    return f"{count:,} of its values are not: the first is {column[row].as_py()[:100]!r} in row {row + 1:,}"


def _refuse_mixed(name: str, numbers: pa.ChunkedArray, declared: Declaration) -> None:
    if name == declared.target and declared.task == "classification":
        return
    if pc.mean(_matches(numbers, COMMA)).as_py() >= MOST:
        raise DataError(f'column {name!r} looks like numbers with a decimal comma: set decimal = ","')
    if pc.mean(_matches(numbers, NUMBER)).as_py() >= MOST:
        raise DataError(
            f"column {name!r} is one of numbers, but {_first_other(numbers, NUMBER)}: correct it, add it to missing "
            f'if it stands for nothing, or declare features = {{"{name}" = "category"}}'
        )


def _warn_of_zeros(name: str, numbers: pa.ChunkedArray) -> None:
    row = pc.index(_matches(numbers, LEADING_ZERO).fill_null(False), True).as_py()
    if _all(numbers, NUMBER):
        logger.warning(
            "column %r has leading zeros (%r in row %d), so it stays a text; if it is a number, declare it so",
            name,
            numbers[row].as_py(),
            row + 1,
        )
