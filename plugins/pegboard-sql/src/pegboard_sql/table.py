"""From options to a source: what is asked, of whom, and what came back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pegboard import SourceSpec
from pegboard.declared import Declaration, declaration
from pegboard.errors import ConfigError
from pegboard_sql.address import Address, address
from pegboard_sql.reading import read

REMEDY = "make a number or a text of it in the query: extract(year from …), cast(… as text)"


@dataclass(frozen=True)
class Question:
    """One query: its text, the values of its ``:names``, the seconds that it may take, and how rows are fetched."""

    query: str
    params: Mapping[str, Any]
    timeout: float
    chunk: int

    @property
    def sha256(self) -> str:
        """The digest of the query's text."""
        return hashlib.sha256(self.query.encode()).hexdigest()


def source(name: str, said: Mapping[str, Any], asked: Mapping[str, Any], *, url: str, url_variable: str) -> SourceSpec:
    """Return the source; see :func:`pegboard_sql.plugin.configure`."""
    where = f"source {name!r}"
    declared = declaration(where, REMEDY, **said)
    question = _question(where, **asked)
    there = address(url, url_variable, where)
    return declared.source(name, lambda: _table(there, question, declared))


def _question(where: str, *, query: str, query_file: str, params: Any, timeout: Any, chunk: Any) -> Question:
    if bool(query) == bool(query_file):
        raise ConfigError(f'{where}: say what to ask: --set query="select …" (or query_file, and not both)')
    if query_file:
        query = _written(Path(query_file), where)
    if not isinstance(params, Mapping):
        raise ConfigError(f"{where}: params is {params!r}: write a table of names and values")
    if not _is_number(timeout) or not 0 < timeout < math.inf:
        raise ConfigError(f"{where}: timeout is {timeout!r}: it is a number of seconds above 0")
    if not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1:
        raise ConfigError(f"{where}: chunk is {chunk!r}: it is a number of rows, at least 1")
    return Question(query, params, float(timeout), chunk)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(path: Path, where: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot read query_file {path}: {error}") from None
    if not text.strip():
        raise ConfigError(f"{where}: query_file {path} is empty")
    return text


def _table(there: Address, question: Question, declared: Declaration) -> tuple[pa.Table, str]:
    table, server = read(there, question, declared.keys)
    return table, (
        f"{server}, {there.shown}: {table.num_rows:,} rows of the query with sha256:{question.sha256}: "
        f"{question.query.strip()}"
    )
