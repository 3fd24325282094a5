"""From options to a source: which files there are, what they hold together, and where that came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pegboard import DataError, SourceSpec
from pegboard.declared import Declaration, declaration
from pegboard_files.formats import Form, make_form, read
from pegboard_files.opening import Budget, opened
from pegboard_files.places import found, paths
from pegboard_files.texts import typed

REMEDY = "make a number or a text of it in the file"
#: So many files are named in a table's origin.
NAMED = 3


def source(
    name: str,
    said: Mapping[str, Any],
    form: Mapping[str, Any],
    *,
    path: str | Sequence[str],
    path_variable: str,
    max_bytes: int,
) -> SourceSpec:
    """Return the source; see :func:`pegboard_files.plugin.configure`."""
    where = f"source {name!r}"
    declared = declaration(where, REMEDY, **said)
    checked = make_form(form, where)
    given = paths(path, path_variable, where)
    return declared.source(name, lambda: table(given, declared, checked, Budget(max_bytes)))


def table(given: Sequence[str], declared: Declaration, form: Form, budget: Budget) -> tuple[pa.Table, str]:
    """Read every file, each once, and return their rows as one table, and its origin."""
    pieces: list[pa.Table] = []
    names: list[str] = []
    digest, size = hashlib.sha256(), 0
    for place in [place for pattern in given for place in found(pattern)]:
        with opened(place, budget) as file:
            pieces.append(read(file.handle, place.shown, form))
            _refuse_other_columns(pieces, [*names, place.shown], declared)
            names.append(place.shown)
            digest.update(f"{file.sha256}  {place.shown}\n".encode())
            size += file.size
            alone = file.sha256
    joined = _joined(pieces, names, declared)
    if form.texts(names[0]):
        joined = typed(joined, declared, form.decimal)
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    if len(names) == 1:
        return joined, f"{shown} ({size:,} bytes, sha256:{alone})"
    return joined, f"{len(names)} files: {shown} ({size:,} bytes, sha256 of their sha256sum lines:{digest.hexdigest()})"


def _refuse_other_columns(pieces: Sequence[pa.Table], names: Sequence[str], declared: Declaration) -> None:
    first, last = (set(piece.column_names) - set(declared.drop) for piece in (pieces[0], pieces[-1]))
    if first != last:
        lacks = [f"{name} lacks {', '.join(map(repr, sorted(less)))}" for name, less in (
            (names[0], last - first), (names[-1], first - last)) if less]  # fmt: skip
        raise DataError(
            f"{names[0]} and {names[-1]} have other columns: {'; '.join(lacks)}: give files of one table, or name what "
            "is not needed in drop"
        )


def _joined(pieces: Sequence[pa.Table], names: Sequence[str], declared: Declaration) -> pa.Table:
    if len(pieces) == 1:
        return pieces[0]
    order = [name for name in pieces[0].column_names if name not in declared.drop]
    dropped = {name for piece in pieces for name in piece.column_names if name in declared.drop}
    try:
        joined = pa.concat_tables([piece.select(order) for piece in pieces], promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"{names[0]} and the other {len(names) - 1} files do not agree: {error}") from None
    for name in sorted(dropped):  # what is left out must have been there
        joined = joined.append_column(name, pa.nulls(len(joined)))
    return joined
