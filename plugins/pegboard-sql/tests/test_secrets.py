"""No password is recorded, shown, or part of an error."""

from __future__ import annotations

import os
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import PegboardError
from pegboard.errors import ConfigError
from pegboard_sql.address import address
from pegboard_sql.plugin import configure

passwords = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(lambda text: f"s3cr{text}et")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://owner:hunter2@db.example.com/houses",
        "postgresql://db.example.com/houses?user=owner&password=hunter2",
        "postgresql://owner@db.example.com/houses?sslpassword=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D1%3BPWD%3Dhunter2",
        "postgresql://owner:hunter2@x@db.example.com/houses",
    ],
)
def test_a_password_among_the_options_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configure(url=url, query="select 1 as y", target="y")
    assert "hunter2" not in str(refused.value)


def test_the_refusal_names_the_ways_that_are_left() -> None:
    with pytest.raises(ConfigError, match=r"url_variable = .*PGPASSWORD.*pgpass"):
        configure(url="postgresql://owner:hunter2@h/d", query="select 1 as y", target="y")


@settings(max_examples=50, deadline=None)
@given(passwords, st.sampled_from([quote, quote_plus, lambda text: quote(text, safe=""), str]))
def test_no_error_of_a_driver_holds_the_password(password: str, written: object) -> None:
    spelt = written(password)  # type: ignore[operator]
    url = f"postgresql://owner:{spelt}@127.0.0.1:1/houses"
    with patch.dict(os.environ, {"SOME_URL": url.replace("\0", "")}), pytest.raises(PegboardError) as refused:
        configure(url_variable="SOME_URL", query="select 1 as y", target="y")
    for secret in (password, spelt):
        assert secret not in str(refused.value)
        assert secret not in repr(refused.value.__cause__)


@given(passwords)
def test_a_message_that_repeats_the_url_is_cleaned(password: str) -> None:
    url = f"postgresql://owner:{quote(password, safe='')}@h/d"
    with patch.dict(os.environ, {"SOME_URL": url}):
        there = address("", "SOME_URL", "here")
    for spelling in (password, quote(password, safe=""), quote(password), repr(password)):
        assert password not in there.cleaned(f"cannot parse {spelling}.")
    assert url not in there.cleaned(f"cannot parse {url}.")
    assert "owner" not in there.shown
    assert password not in f"{there.shown} {there!r}"


def test_an_address_shows_neither_user_nor_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_URL", "postgresql://owner:hunter2@db.example.com:5433/houses")
    there = address("", "SOME_URL", "here")
    assert there.shown == "database 'houses' on db.example.com:5433"
    assert repr(there) == "Address(database 'houses' on db.example.com:5433)"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'NOT_SET'.*is not set"):
        configure(url_variable="NOT_SET", query="select 1 as y", target="y")
