"""The filters of the role: what differs between predictions, and hosts as a table."""

from __future__ import annotations

import json
import math
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.running import ROOT

SPEC = spec_from_file_location("filters", ROOT / "ansible/roles/pegboard_serve/filter_plugins/pegboard.py")
assert SPEC
assert SPEC.loader
module = module_from_spec(SPEC)
SPEC.loader.exec_module(module)
FILTERS: dict[str, Any] = module.FilterModule().filters()
difference, table = FILTERS["pegboard_difference"], FILTERS["pegboard_table"]

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
PREDICTIONS = st.lists(NUMBERS | st.text(max_size=5), max_size=8)


@given(PREDICTIONS)
def test_predictions_do_not_differ_from_themselves_also_after_json(predictions: list[Any]) -> None:
    assert difference(json.loads(json.dumps(predictions)), predictions, 0) == ""


@given(PREDICTIONS, NUMBERS, NUMBERS, st.data())
def test_one_row_that_differs_is_found_and_named(rest: list[Any], got: float, wanted: float, data: Any) -> None:
    row = data.draw(st.integers(0, len(rest)))
    answered, expected = [*rest[:row], got, *rest[row:]], [*rest[:row], wanted, *rest[row:]]
    said = difference(answered, expected, 0)
    assert bool(said) == (got != wanted)
    assert not said or f"1 of {len(expected)} replayed predictions differ; the first is row {row + 1}: " in said


@given(st.floats(1e-3, 1e9), st.sampled_from([1e-9, 1e-6, 1e-3]), st.sampled_from([-1, 1]))
def test_the_tolerance_is_relative(value: float, tolerance: float, sign: int) -> None:
    assert difference([value * (1 + sign * tolerance / 2)], [value], tolerance) == ""
    assert difference([value * (1 + sign * tolerance * 2)], [value], tolerance)


@pytest.mark.parametrize("tolerance", [0, 0.0, "0", "1e-9"])
def test_a_tolerance_may_come_as_text_as_from_the_command_line(tolerance: Any) -> None:
    assert difference([1.0], [1.0], tolerance) == ""
    assert difference([1.1], [1.0], tolerance)


@pytest.mark.parametrize(
    ("got", "wanted"),
    [("a", "b"), ("1", 1), (None, 0), (True, 1), (0, False), (math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)],
)
def test_a_class_another_type_and_what_is_no_number_differ(got: Any, wanted: Any) -> None:
    assert "it answers" in difference([got], [wanted], 0.5)


@pytest.mark.parametrize(("got", "wanted"), [(True, True), (None, None), ("a", "a"), (1, 1.0)])
def test_equal_is_equal(got: Any, wanted: Any) -> None:
    assert difference([got], [wanted], 0) == ""


def test_every_row_needs_a_prediction() -> None:
    assert difference([1.0], [1.0, 2.0], 1) == "1 predictions for 2 rows"
    assert difference([1.0, 2.0], [1.0], 1) == "2 predictions for 1 rows"


def test_a_table_is_as_wide_as_its_widest_cell() -> None:
    hosts = [{"host": "host-1", "state": "ready", "more": "?"}, {"host": "b", "state": "unreachable"}, {"host": "c"}]
    assert table(hosts, ["host", "state"]) == "host    state\nhost-1  ready\nb       unreachable\nc"


CELLS = st.text(st.characters(categories=["L", "N"]), max_size=6)


@given(st.lists(st.fixed_dictionaries({}, optional={"a": CELLS, "b": CELLS}), max_size=5))
def test_columns_begin_at_one_place(rows: list[dict[str, str]]) -> None:
    lines = table(rows, ["a", "b"]).split("\n")
    begin = lines[0].index("b")
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert (line[:begin].rstrip(), line[begin:]) == (row.get("a", ""), row.get("b", ""))
