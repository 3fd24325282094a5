"""Rows of a request, decoded and checked against the signature in one go.

The signature becomes a msgspec struct: types, ranges, missing and unknown fields are checked while the bytes are read,
about 0.5 µs a row. msgspec stops at the first problem, so a body that it refuses is read a second, slower time, and the
signature lists everything that is wrong. That slow reading decides: what it accepts is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from pegboard.errors import SignatureError
from pegboard.frames import to_rows
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature
from pegboard.specs import Kind
from pegboard_serve.body import check_rows, parse_records
from pegboard_serve.refused import misfit
from pegboard_serve.settings import Settings

#: One row: its features' values in signature order (keys may follow, and are ignored).
Row = Sequence[Any]

_KINDS: dict[Kind, Any] = {
    "number": Annotated[float, Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)],
    # float64 holds every integer up to the limit, and JSON may write one as 60.0.
    "integer": Annotated[float, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER, multiple_of=1)],
    "boolean": bool,
    "category": str,
}
_FAILED = (msgspec.MsgspecError, RecursionError, UnicodeError)
_values = msgspec.structs.astuple
_refuse_surrogates = msgspec.json.Encoder().encode


class RowReader:
    """Reads rows that fit a signature, and says everything that is wrong with others."""

    def __init__(self, signature: Signature, settings: Settings) -> None:
        self.signature = signature
        self.strict = settings.strict
        self.max_rows = settings.max_rows
        self.max_depth = settings.max_depth
        self._decode, self._convert = _fast(signature, settings)

    def read(self, body: bytes) -> list[Row]:
        """Return the rows of a JSON list of objects, or of one; raises :class:`~pegboard_serve.refused.Refused`."""
        try:
            rows = self._decode(body)
        except _FAILED:
            return self._judge(parse_records(body, self.max_rows, self.max_depth))
        return [_values(row) for row in rows] if type(rows) is list else [_values(rows)]

    def convert(self, records: list[Any]) -> list[Row]:
        """Return the rows of plain JSON records that another protocol has brought; raises as :meth:`read` does."""
        check_rows(len(records), self.max_rows)
        try:
            rows: list[Row] = [_values(row) for row in self._convert(records)]
            _refuse_surrogates(rows)  # the conversion does not
        except _FAILED:
            return self._judge(records)
        return rows

    def _judge(self, records: list[Any]) -> list[Row]:
        if problems := self.signature.problems(records, self.strict):
            raise misfit(SignatureError(problems))
        return list(to_rows(records, self.signature))


def _fast(signature: Signature, settings: Settings) -> tuple[Callable[[bytes], Any], Callable[[list[Any]], Any]]:
    """Return how to decode a body's bytes, and how to check plain records; both raise for what is not all right."""
    try:
        row: Any = _struct(signature, settings.strict)
    except ValueError:  # a column's name that msgspec cannot spell: every body is read slowly
        return _cannot, _cannot
    rows: Any = Annotated[list[row], Meta(min_length=1, max_length=settings.max_rows)]
    return msgspec.json.Decoder(rows | row).decode, partial(msgspec.convert, type=list[row])


def _cannot(_: object) -> NoReturn:
    raise msgspec.ValidationError


def _struct(signature: Signature, strict: bool) -> type[msgspec.Struct]:
    """Make the struct of a row. Fields are numbered, because a column may be called anything."""
    fields: list[Any] = [(f"f{i}", _type(feature, strict)) for i, feature in enumerate(signature.features)]
    fields += [(f"k{i}", str | int | float | bool | None, None) for i in range(len(signature.keys))]
    names = [feature.name for feature in signature.features] + list(signature.keys)
    renamed = {field[0]: name for field, name in zip(fields, names, strict=True)}
    return msgspec.defstruct("Row", fields, rename=renamed, forbid_unknown_fields=True, gc=False)


def _type(feature: Feature, strict: bool) -> Any:
    if strict and feature.categories is not None:
        return Literal[(*feature.categories, *((None,) * feature.nullable))]
    value = _KINDS[feature.kind]
    return value | None if feature.nullable else value
