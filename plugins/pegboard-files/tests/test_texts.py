"""What the texts of a CSV are taken for, column by column."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegboard import DataError

Load = Callable[..., pd.DataFrame]


def column(load: Load, *values: str, **options: Any) -> pd.Series[Any]:
    """Return a column of these texts as it is loaded."""
    rows = "".join(f'"{value}",{row}.5\n' for row, value in enumerate(values))
    return load(f"x,y\n{rows}", **options)["x"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (("1", "-2", "+3"), "int64", [1, -2, 3]),
        (("1", "", "3"), "Int64", [1, None, 3]),
        (("1", "2.5"), "float64", [1.0, 2.5]),
        (("1e3", ".5", "5."), "float64", [1000.0, 0.5, 5.0]),
        ((" 1", "2 "), "int64", [1, 2]),
        (("0", "0.5"), "float64", [0.0, 0.5]),
        (("007", "8"), "str", ["007", "8"]),
        (("00.5", "1"), "str", ["00.5", "1"]),
        (("true", "FALSE", "True"), "bool", [True, False, True]),
        (("true", "NA"), "boolean", [True, None]),
        (("true", "1"), "str", ["true", "1"]),
        (("yes", "no"), "str", ["yes", "no"]),
        (("a", "", "NA", "null"), "str", ["a", None, None, None]),
        ((" a", "a"), "str", [" a", "a"]),
        (("1,5", "x"), "str", ["1,5", "x"]),
        (("1_000", "0x10"), "str", ["1_000", "0x10"]),
    ],
)
def test_a_column_is_what_all_of_its_values_are(
    loaded: Load, values: tuple[str, ...], dtype: str, expected: list[object]
) -> None:
    found = column(loaded, *values)
    assert str(found.dtype) == dtype
    assert [None if pd.isna(value) else value for value in found] == expected


def test_missing_may_be_written_otherwise(loaded: Load) -> None:
    assert column(loaded, "1", "?", missing=["?"]).isna().tolist() == [False, True]
    assert column(loaded, "a", "NA", missing=["?"]).tolist() == ["a", "NA"]


def test_a_decimal_comma_is_read_where_it_is_set_and_suspected_where_it_is_not(loaded: Load) -> None:
    text = "x;y\n1,5;1\n2,25;2\n"
    assert loaded(text, delimiter=";", decimal=",")["x"].tolist() == [1.5, 2.25]
    with pytest.raises(DataError, match="'x' looks like numbers with a decimal comma: set decimal"):
        loaded(text, delimiter=";")


def test_a_few_texts_among_numbers_are_refused_with_the_row(loaded: Load) -> None:
    values = [*map(str, range(99)), "unknown"]
    with pytest.raises(DataError, match=r"'x' is one of numbers, but 1 of its values are not: .*'unknown' in row 100"):
        column(loaded, *values)
    assert column(loaded, *values, missing=["unknown"]).isna().sum() == 1
    assert str(column(loaded, *values, features={"x": "category"}).dtype) == "str"
    assert str(column(loaded, *values[:9], "unknown").dtype) == "str"


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        (("1", "2"), "category", "str"),
        (("007", "8"), "integer", "int64"),
        (("true", "false"), "category", "str"),
        (("1", "2"), "number", "int64"),
    ],
)
def test_a_declared_kind_goes_before_what_the_values_look_like(
    loaded: Load, values: tuple[str, ...], kind: str, dtype: str
) -> None:
    assert str(column(loaded, *values, features={"x": kind}).dtype) == dtype


@pytest.mark.parametrize(
    ("kind", "said"),
    [("number", "declared a number, and 1 of its values are not: the first is 'a' in row 2"),
     ("boolean", "declared boolean, and 2 of its values are not: the first is '1' in row 1")],
)  # fmt: skip
def test_values_that_are_not_of_the_declared_kind_are_named(loaded: Load, kind: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        column(loaded, "1", "a", features={"x": kind})


def test_keys_stay_the_texts_that_they_are(loaded: Load) -> None:
    assert column(loaded, "007", "8", keys="x").tolist() == ["007", "8"]
    assert column(loaded, "12345678901234567890", "2020-01-01", keys="x").tolist() == [
        "12345678901234567890", "2020-01-01"]  # fmt: skip


def test_integers_of_more_than_64_bits_are_refused_unless_they_are_names(loaded: Load) -> None:
    with pytest.raises(DataError, match=r"'x' holds integers of more than 64 bits.*keys = "):
        column(loaded, "12345678901234567890", "1")


@pytest.mark.parametrize("date", ["2020-01-31", "2020-01-31T10:00:00Z", "2020-1-31 10:00", "31.01.2020", "1/31/20"])
def test_dates_are_refused_by_name_and_kept_where_they_are_declared_texts(loaded: Load, date: str) -> None:
    with pytest.raises(DataError, match=r"column 'x' holds dates as texts .*drop = \[\"x\"\]"):
        column(loaded, date, date)
    assert column(loaded, date, features={"x": "category"}).tolist() == [date]
    assert column(loaded, date, keys="x").tolist() == [date]
    assert "x" not in loaded(f"x,y,z\n{date},1,2\n", drop="x")


def test_leading_zeros_are_told_to_a_person(loaded: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pegboard"):
        column(loaded, "1", "007")
    assert "column 'x' has leading zeros ('007' in row 2), so it stays a text" in caplog.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_any_finite_numbers_come_back_bit_by_bit(loaded: Load, values: list[float]) -> None:
    assert column(loaded, *map(repr, [*values, 0.5])).tolist() == [*values, 0.5]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8))
def test_any_integers_of_64_bits_come_back(loaded: Load, values: list[int]) -> None:
    assert column(loaded, *map(str, values)).tolist() == values


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0"\r')), min_size=1, max_size=5))
def test_any_texts_come_back_where_they_are_declared(loaded: Load, values: list[str]) -> None:
    found = column(loaded, *values, features={"x": "category"}, missing=[])
    assert found.tolist() == values
