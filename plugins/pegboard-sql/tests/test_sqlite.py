"""The source ``sql`` over SQLite: what comes of rows, and what is refused."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pegboard import DataError, PegboardError
from pegboard.errors import ConfigError
from pegboard_sql.plugin import configure


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "houses é.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table houses (id integer, area real, style text, garden boolean, price numeric)")
        rows = [(i, i * 1.5, "ab"[i % 2], i % 3 == 0, i * 100) for i in range(30)]
        connection.executemany("insert into houses values (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


def asked(database: Path, query: str, target: str = "y", **options: Any) -> pd.DataFrame:
    source = configure(url=f"sqlite:///{database}", query=query, target=target, **options)
    assert source.load is not None
    return source.load()


def test_a_query_gives_its_rows_in_its_order_with_types(database: Path) -> None:
    frame = asked(database, "select * from houses order by id desc", "price", keys="id", features={
        "area": "number", "style": "category", "garden": "boolean"})  # fmt: skip
    assert frame["id"].tolist() == list(range(29, -1, -1))
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "id": "int64", "area": "float64", "style": "str", "garden": "bool", "price": "int64"
    }  # fmt: skip


def test_the_origin_has_dialect_version_database_rows_and_the_whole_query(database: Path) -> None:
    query = "select id, price from houses"
    digest = hashlib.sha256(query.encode()).hexdigest()
    assert asked(database, query, "price").attrs["origin"] == (
        f"sqlite {sqlite3.sqlite_version}, database {str(database)!r}: "
        f"30 rows of the query with sha256:{digest}: {query}"
    )


def test_a_query_may_be_in_a_file_and_has_the_file_s_digest(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "houses.sql"
    file.write_bytes(b"select id as y\nfrom houses\n")
    source = configure(url=f"sqlite:///{database}", query_file=str(file), target="y")
    assert source.load is not None
    assert hashlib.sha256(file.read_bytes()).hexdigest() in source.load().attrs["origin"]


@pytest.mark.parametrize("chunk", [1, 7, 30, 1000])
def test_the_size_of_chunks_changes_nothing(database: Path, chunk: int) -> None:
    query = (
        "select id, case when id > 20 then area end as late, case when id < 5 then id end as early, price from houses"
    )
    frame = asked(database, query, "price", chunk=chunk)
    assert frame["late"].isna().sum() == 21
    assert str(frame["early"].dtype) == "Int64"
    assert frame["early"].dropna().tolist() == [0, 1, 2, 3, 4]


def test_parameters_are_bound_and_never_written_into_the_query(database: Path) -> None:
    query = "select id as y, :style as style from houses where style = :style"
    assert len(asked(database, query, params={"style": "a"})) == 15
    with pytest.raises(DataError, match="without rows"):
        asked(database, query, params={"style": "a' or '1'='1"})
    with pytest.raises(DataError, match=r"bind parameter 'style'.*params"):
        asked(database, query)


@pytest.mark.parametrize(
    "query",
    [
        "delete from houses",
        "delete from houses returning id as y",
        "select 1 as y; delete from houses",
        "drop table houses",
        "update houses set price = 0 returning price as y",
        "attach 'other.db' as other",
        "pragma query_only = off",
    ],
)
def test_a_query_that_writes_fails_and_nothing_is_lost(
    database: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(database.parent)
    before = database.read_bytes()
    with pytest.raises(DataError):
        asked(database, query)
    assert database.read_bytes() == before
    assert [*database.parent.iterdir()] == [database]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from nowhere", "no such table: nowhere"),
        ("select 1 as y, date('now') as day from houses", r"column 'day' holds dates as texts .*drop = \[\"day\"\]"),
        ("select 1 as y, x'00' as photo", "column 'photo' holds values of type binary"),
        ("select 1 as y, 2 as y", "more than once: y"),
        ("select 1 as x union all select 'a' as x", r"there is no column 'y'; the columns are: 'x'|int and str"),
        ("select 1 as y, 1 as x union all select 2, 'a'", "column 'x' holds int and str values"),
        ("select null as y", "target 'y' has no values"),
        ("create table y (y integer)", "refuses the query: attempt to write a readonly database"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(database: Path, query: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        asked(database, query)


def test_a_type_that_changes_between_chunks_is_an_error_too(database: Path) -> None:
    with pytest.raises(DataError, match="incompatible types"):
        asked(database, "select 1 as y, id as x from houses union all select 1, 'a'", chunk=5)


def test_a_query_that_takes_too_long_is_ended(database: Path) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as y from n"
    with pytest.raises(DataError, match=r"longer than 0.2 seconds.*set timeout"):
        asked(database, endless, timeout=0.2)


def test_rows_that_never_end_are_ended(database: Path) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i as y from n"
    with pytest.raises(DataError, match=r"longer than 0.2 seconds"):
        asked(database, endless, timeout=0.2, chunk=10)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened: unable to open database file"):
        asked(tmp_path / "none.db", "select 1 as y")
    assert not [*tmp_path.iterdir()]


def test_integers_that_float64_cannot_tell_apart_are_left_to_the_framework_s_refusal(database: Path) -> None:
    from pegboard.frames import conform
    from pegboard.learning import learn_signature

    source = configure(url=f"sqlite:///{database}", query=f"select {2**53} as big, 1.5 as y", target="y")
    assert source.load is not None
    frame = source.load()
    with pytest.raises(PegboardError, match=r"2\*\*53"):
        conform(frame, learn_signature(frame, source))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": ""}, "say where the database is"),
        ({"url_variable": "ALSO"}, "and not both"),
        ({"query_file": "x.sql"}, "and not both"),
        ({"query": "", "query_file": "none.sql"}, "cannot read query_file none.sql"),
        ({"query": ""}, "say what to ask"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": True}, "timeout is True"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"chunk": 0}, "chunk is 0"),
        ({"params": [1]}, "params is"),
        ({"target": ""}, "name the column"),
        ({"task": "ranking"}, "task is 'ranking'"),
        ({"keys": 1}, "keys is 1"),
        ({"keys": "y"}, "'y' is in target and in keys"),
        ({"features": {"a": "date"}}, "'a' has kind 'date'"),
        ({"url": "sqlite://"}, "names no file"),
        ({"url": "nonsense"}, "url is no database's URL"),
        ({"url": "strange://u@h/d"}, "no dialect 'strange'"),
    ],
)
def test_options_that_make_no_sense_are_refused(database: Path, options: dict[str, Any], said: str) -> None:
    given = {"url": f"sqlite:///{database}", "query": "select 1 as y", "target": "y", **options}
    with pytest.raises(ConfigError, match=said):
        configure(**given)
