"""The source ``sql`` against a real PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegboard import DataError
from pegboard.errors import ConfigError
from pegboard_sql.plugin import configure

Execute = Callable[..., list[tuple[object, ...]]]
TABLE = """
create table houses (
    id bigint primary key, area numeric(10, 2), rooms smallint, style text, garden boolean, sold date, price integer)
"""
ROWS = """
insert into houses
select i, i * 1.25, nullif(i % 5, 0), 'style ' || i % 3, i % 2 = 0, date '2020-01-01' + i, i * 100
from generate_series(1, 2500) i
"""


@pytest.fixture(autouse=True)
def houses(execute: Execute, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    execute("drop table if exists houses", TABLE, ROWS)
    monkeypatch.setenv("DATABASE_URL", server.url())


def asked(query: str, target: str = "y", **options: Any) -> pd.DataFrame:
    source = configure(**{"url_variable": "DATABASE_URL", "query": query, "target": target, **options})
    assert source.load is not None
    return source.load()


@pytest.mark.parametrize("chunk", [7, 2500, 10_000])
def test_every_type_of_the_signature_comes_through_whatever_the_chunk(chunk: int) -> None:
    frame = asked("select * from houses order by id", "price", keys="id", drop="sold", chunk=chunk)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "id": "int64", "area": "float64", "rooms": "Int64", "style": "str", "garden": "bool", "price": "int64"
    }  # fmt: skip
    assert frame.iloc[2].to_dict() == {
        "id": 3, "area": 3.75, "rooms": 3, "style": "style 0", "garden": False, "price": 300
    }  # fmt: skip
    assert frame["rooms"].isna().sum() == 500


def test_the_origin_has_server_database_and_query_and_no_user(server: Any) -> None:
    origin = asked("select price as y from houses").attrs["origin"]
    assert origin.startswith("postgresql ")
    assert f"database 'postgres' on 127.0.0.1:{server.port}: 2,500 rows of the query with sha256:" in origin
    assert origin.endswith(": select price as y from houses")
    assert "owner" not in origin


def test_rows_are_fetched_from_a_cursor_on_the_server() -> None:
    # Were they all fetched at once, the division would fail before a single row is seen.
    query = "select 1 / (i - 50000) as y from generate_series(1, 50000) i"
    with pytest.raises(DataError, match="division by zero"):
        asked(query)
    from sqlalchemy import create_engine, text

    from pegboard_sql.dialects import begin

    engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        first = next(iter(begin(connection, 60, 10).execute(text(query)).partitions(10)))
        assert len(first) == 10
    engine.dispose()


@pytest.mark.parametrize(
    "query",
    [
        "delete from houses",
        "delete from houses returning id as y",
        "with gone as (delete from houses returning id) select id as y from gone",
        "select 1 as y; delete from houses",
        "select 1 as y; commit; delete from houses; commit",
        "set transaction read write; delete from houses",
        "truncate houses",
        "select erase() as y",
        "select set_config('transaction_read_only', 'off', false) as x, erase() as y",
    ],
)
def test_a_query_that_writes_fails_and_nothing_is_lost(execute: Execute, query: str) -> None:
    execute(
        "create or replace function erase() returns integer language plpgsql volatile as "
        "$$ begin delete from houses; return 1; end $$"
    )
    with pytest.raises(DataError, match="refuses the query"):
        asked(query)
    assert execute("select count(*) from houses") == [(2500,)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select sold, price as y from houses", r"column 'sold' holds dates or times .*cast"),
        ("select now() as t, 1 as y", "column 't' holds dates or times"),
        ("select array[1, 2] as a, 1 as y", "column 'a' holds lists or objects"),
        ("select '{}'::jsonb as j, 1 as y", "column 'j' holds lists or objects"),
        ("select '\\x00'::bytea as b, 1 as y", "column 'b' holds values of type binary"),
        ("select 1 as y, 2 as y", "more than once: y"),
        ("select 1 as y where false", "without rows"),
        ("selekt 1", "syntax error"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(query: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        asked(query)


def test_a_decimal_key_keeps_all_of_its_digits() -> None:
    frame = asked("select 12345678901234567890123::numeric as id, 1.5 as y", keys="id")
    assert frame["id"].tolist() == ["12345678901234567890123"]
    assert frame["y"].tolist() == [1.5]


def test_decimals_that_are_no_numbers_are_missing_or_refused_later() -> None:
    assert asked("select 'NaN'::numeric as x, 1.0 as y")["x"].isna().tolist() == [True]


def test_a_query_that_takes_too_long_is_ended_by_the_server() -> None:
    with pytest.raises(DataError, match=r"longer than 0.2 seconds.*set timeout"):
        asked("select pg_sleep(600)::text as y", timeout=0.2)


def test_parameters_are_bound() -> None:
    query = "select price as y from houses where style = :style and area > :area"
    assert len(asked(query, params={"style": "style 0", "area": 1250})) == 500
    with pytest.raises(DataError, match="without rows"):
        asked(query, params={"style": "' or true --", "area": 0})


def test_the_password_may_come_from_pgpassword(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import unquote, urlsplit

    monkeypatch.setenv("PGPASSWORD", unquote(urlsplit(server.url()).password or ""))
    frame = asked("select price as y from houses", url_variable="", url=server.url(password=""))
    assert len(frame) == 2500


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(lambda text: f"s3cr{text}et"))
def test_a_wrong_password_is_not_in_the_error(server: Any, password: str) -> None:
    with patch.dict(os.environ, {"DATABASE_URL": server.url(password=password)}), pytest.raises(DataError) as refused:
        asked("select 1 as y")
    assert "cannot be opened" in str(refused.value)
    assert "authentication failed" in str(refused.value)
    assert password not in str(refused.value)


def test_a_password_in_the_options_is_refused_even_if_it_is_right(server: Any) -> None:
    with pytest.raises(ConfigError, match="url holds a password"):
        asked("select 1 as y", url_variable="", url=server.url())


def test_without_a_server_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://owner:secret@127.0.0.1:1/houses")
    with pytest.raises(DataError, match=r"database 'houses' on 127.0.0.1:1 cannot be opened: .*refused"):
        asked("select 1 as y")
