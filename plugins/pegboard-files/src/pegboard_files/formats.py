"""What the bytes of one file mean: CSV, TSV, Parquet and JSON lines, as ``pyarrow`` reads them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
from pyarrow import csv, json, parquet

from pegboard import DataError
from pegboard.errors import ConfigError, did_you_mean
from pegboard.tables import MISSING

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
FORMATS = ("csv", "tsv", "parquet", "jsonl")
SUFFIX = re.compile(r"(\.\w+?)(\.(gz|bz2|xz))?$")
#: Where pandas puts an index that has no name; it is no column of the table.
INDEX = re.compile(r"__index_level_\d+__")
BLOCK = 2**26


@dataclass(frozen=True, kw_only=True)
class Form:
    """How files are written; ``format`` and ``delimiter`` empty go by the file."""

    format: str = ""
    missing: tuple[str, ...] = MISSING
    delimiter: str = ""
    decimal: str = "."
    encoding: str = "utf-8"

    def of(self, shown: str) -> str:
        """Return the format of a file, by its name if it was not said."""
        suffix = SUFFIX.search(shown.lower())
        if found := self.format or (SUFFIXES.get(suffix[1]) if suffix else None):
            return found
        raise DataError(f"{shown}: its name does not say what it is: set format to one of {', '.join(FORMATS)}")

    def texts(self, shown: str) -> bool:
        """Return whether a file knows only texts, so that kinds have to be found in them."""
        return self.of(shown) in ("csv", "tsv")


def make_form(options: Mapping[str, Any], where: str) -> Form:
    """Check the options that say how files are written; raise :class:`ConfigError`."""
    said = {name: value for name, value in options.items() if value not in (None, "")}
    if said.get("format", "csv") not in FORMATS:
        hint = did_you_mean(str(said["format"]), FORMATS) or f"; known: {', '.join(FORMATS)}"
        raise ConfigError(f"{where}: no format {said['format']!r}{hint}")
    for name in ("delimiter", "decimal"):
        if not isinstance(said.get(name, ","), str) or len(said.get(name, ",")) != 1:
            raise ConfigError(f"{where}: {name} is {said[name]!r}: it is one character")
    if said["decimal"] not in ".,":
        raise ConfigError(f"{where}: decimal is {said['decimal']!r}: it is a point or a comma")
    try:
        codecs.lookup(said["encoding"])
    except (LookupError, TypeError):
        raise ConfigError(f"{where}: no encoding {said['encoding']!r}; utf-8, latin-1 and cp1252 are some") from None
    if not isinstance(said.get("missing", ()), list | tuple):
        raise ConfigError(f'{where}: missing is {said["missing"]!r}: list texts, missing = ["", "?"]')
    return Form(**{**said, "missing": tuple(map(str, said.get("missing", MISSING)))})


def read(handle: IO[bytes], shown: str, form: Form) -> pa.Table:
    """Read one file; raise :class:`DataError` that names it."""
    kind = form.of(shown)
    try:
        if not handle.read(1):
            raise DataError("it is empty")
        handle.seek(0)
        if kind == "parquet":
            table = _parquet(handle)
        else:
            table = _jsonl(handle) if kind == "jsonl" else _csv(handle, form, "\t" if kind == "tsv" else ",")
    except DataError as error:
        raise DataError(f"{shown}: {error}") from None
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{shown} is no whole {kind} file: {str(error)[:500]}{_hint(error, kind, form)}") from None
    if not table.num_rows:
        raise DataError(f"{shown} has columns, but no rows")
    return table


def _hint(error: Exception, kind: str, form: Form) -> str:
    if "UTF8" in str(error) or isinstance(error, UnicodeError):
        if kind in ("parquet", "jsonl"):
            return "; its texts are not UTF-8, as they must be: write it anew"
        return f'; it is not written in {form.encoding}: set encoding = "cp1252", or what it is'
    return ""


def _csv(handle: IO[bytes], form: Form, delimiter: str) -> pa.Table:
    """Read every column as texts: ``007`` is not 7, and who decides that must see it."""
    if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and form.encoding == "utf-8":
        raise DataError('it is written in UTF-16: set encoding = "utf-16"')
    handle.seek(0)
    parse = csv.ParseOptions(delimiter=form.delimiter or delimiter, newlines_in_values=True)
    header = _header(handle, form, parse)
    _refuse_repeated(header)
    _refuse_one_column(header, parse.delimiter)
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=list(form.missing),
        strings_can_be_null=True,
    )
    handle.seek(0)
    try:
        return csv.read_csv(handle, csv.ReadOptions(encoding=form.encoding), parse, convert)
    except pa.ArrowInvalid:  # only one thread can say in which row something is wrong
        handle.seek(0)
        return csv.read_csv(handle, csv.ReadOptions(encoding=form.encoding, use_threads=False), parse, convert)


def _header(handle: IO[bytes], form: Form, parse: csv.ParseOptions) -> list[str]:
    lines = csv.ReadOptions(encoding=form.encoding, use_threads=False)
    wide = csv.ParseOptions(delimiter=parse.delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    names: list[str] = csv.open_csv(handle, lines, wide).schema.names
    return names


def _refuse_repeated(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError(f"columns that come more than once in its header: {', '.join(twice)}: rename one of each")


def _refuse_one_column(names: Sequence[str], delimiter: str) -> None:
    if len(names) == 1:
        for other in ";\t|,":
            if other in names[0] and other != delimiter:
                raise DataError(f"its header is one column, {names[0][:100]!r}: set delimiter = {other!r}")


def _parquet(handle: IO[bytes]) -> pa.Table:
    table = parquet.ParquetFile(handle).read()
    table.validate(full=True)  # a damaged file may hold texts that are none
    _refuse_repeated(table.column_names)
    return table.select([name for name in table.column_names if not INDEX.fullmatch(name)])


def _jsonl(handle: IO[bytes]) -> pa.Table:
    """Read objects, one on each line; a text that looks like a date stays a text."""
    table = json.read_json(handle, json.ReadOptions(block_size=BLOCK))
    stamps = [name for name, kind in zip(table.column_names, table.schema.types, strict=True) if kind in _STAMPS]
    if stamps:
        handle.seek(0)
        texts = pa.schema([(name, pa.string()) for name in stamps])
        table = json.read_json(handle, json.ReadOptions(block_size=BLOCK), json.ParseOptions(explicit_schema=texts))
    table.validate(full=True)
    return table


_STAMPS = tuple(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))
