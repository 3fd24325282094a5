"""A search space refuses what no tuner could search, and knows what lies in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard import Choice, Float, Integer, PegboardError
from pegboard.errors import ConfigError
from pegboard.tuning import Budget

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Float(1.0, 1.0), "low must be below high"),
        (lambda: Float(2.0, 1.0), "low must be below high"),
        (lambda: Float(float("nan"), 1.0), "low must be below high"),
        (lambda: Float(0.0, INFINITE), "finite"),
        (lambda: Float(-1.7e308, 1.7e308), "what lies between them"),
        (lambda: Float(0.0, 1.0, log=True), "above 0"),
        (lambda: Float("0", "1"), "low and high are numbers"),  # type: ignore[arg-type]
        (lambda: Float(False, True), "low and high are numbers"),
        (lambda: Integer(1, 1), "low must be below high"),
        (lambda: Integer(0, 5, log=True), "above 0"),
        (lambda: Integer(0.5, 2), "whole numbers"),  # type: ignore[arg-type]
        (lambda: Integer(0, 2**53 + 1), r"at most 2\*\*53"),
        (lambda: Integer(-(2**53), 1), r"at most 2\*\*53"),
        (lambda: Choice(), "at least one"),
        (lambda: Choice([1]), "give it texts"),
        (lambda: Choice(float("nan")), "finite numbers"),
        (lambda: Choice(1, True), "two of the values are equal"),
        (lambda: Choice("a", "b", "a"), "two of the values are equal"),
    ],
)
def test_what_no_tuner_could_search_is_refused(make: Any, reason: str) -> None:
    with pytest.raises(PegboardError, match=reason):
        make()


@pytest.mark.parametrize(
    ("values", "inside", "outside"),
    [
        (Float(0, 1), [0.0, 0.5, 1.0], [0, 1, True, -0.1, 1.1, None, "0.5", float("nan")]),
        (Integer(-2, 3), [-2, 0, 3], [-3, 4, 0.0, True, None, "1"]),
        (Choice(None, 1, "a", 0.5), [None, 1, "a", 0.5], [1.0, True, "b", 0]),
        (Choice(True, "1"), [True, "1"], [1, False, 1.0]),
    ],
)
def test_a_range_knows_what_lies_in_it_and_of_which_type(values: Any, inside: list[Any], outside: list[Any]) -> None:
    assert [value for value in inside if value not in values] == []
    assert [value for value in outside if value in values] == []


@given(low=st.integers(-1000, 1000), width=st.integers(1, 1000), log=st.booleans())
def test_ranges_that_differ_have_other_data_which_json_holds(low: int, width: int, log: bool) -> None:
    log = log and low > 0
    ranges = [
        Integer(low, low + width, log),
        Integer(low, low + width + 1, log),
        Float(low, low + width, log),
        Choice(low, low + width),
        Choice(low + width, low),
    ]
    told = [json.dumps(values.to_dict(), sort_keys=True) for values in ranges]
    assert len(set(told)) == len(ranges)


@pytest.mark.parametrize(
    ("text", "trials", "seconds"),
    [
        ("50", 50, None),
        ("1", 1, None),
        ("90s", None, 90),
        ("10m", None, 600),
        ("1h30m", None, 5400),
        ("2h5s", None, 7205),
    ],
)
def test_a_budget_is_a_number_of_trials_or_a_time(text: str, trials: int | None, seconds: float | None) -> None:
    assert Budget.parse(text) == Budget(trials, seconds)


@pytest.mark.parametrize("text", ["", "0", "-5", "0m", "5d", "m", "1.5h", "10 m", "5m1h", "٣", "9" * 5000, "ten"])
def test_any_other_budget_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write a number of trials \(50\) or a time \(10m, 1h30m, 90s\)"):
        Budget.parse(text)
