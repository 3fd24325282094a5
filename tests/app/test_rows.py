"""The fast reading of rows and the slow one, which decides."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature
from pegboard.testing import strategies
from pegboard_serve import rows as reading
from pegboard_serve.body import deepest, parse_records
from pegboard_serve.refused import Refused
from pegboard_serve.rows import RowReader
from pegboard_serve.settings import Settings

SETTINGS = Settings(model="", registry="", max_rows=4)
HOUSE = Signature(
    task="regression",
    features=(
        Feature("area", "number"),
        Feature("rooms", "integer", nullable=True),
        Feature("garden", "boolean", nullable=True),
        Feature("zone", "category", nullable=True, categories=("a", "b")),
    ),
    target="price",
    keys=("Id",),
)
NUMBERS = (
    st.integers(-10, 10)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**53, LARGEST_INTEGER, -LARGEST_INTEGER, LARGEST_NUMBER, 1e39, 10**400, -0.0, 2.5, 60.0])
)
VALUES = st.none() | st.booleans() | NUMBERS | st.sampled_from(["a", "b", "c", "", "é", "😀", "\ud800", "1"])
NESTED = st.lists(VALUES, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), VALUES, max_size=1)
RECORDS = st.fixed_dictionaries(
    {"area": NUMBERS | VALUES, "rooms": VALUES, "garden": VALUES, "zone": VALUES},
    optional={"Id": VALUES | NESTED, "other": VALUES},
)
GOOD = st.fixed_dictionaries(
    {
        "area": st.floats(-1e6, 1e6) | st.integers(-(10**9), 10**9),
        "rooms": st.none() | st.integers(0, 20) | st.sampled_from([3.0, 0.0]),
        "garden": st.none() | st.booleans(),
        "zone": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    },
    # Half a surrogate pair in a key is read the slow way: what is fast takes UTF-8 alone.
    optional={"Id": VALUES.filter(lambda value: not (isinstance(value, str) and re.search("[\ud800-\udfff]", value)))},
)


def read(reader: RowReader, body: bytes) -> Any:
    """The rows, or why there are none, in full."""
    try:
        return [list(row)[: len(reader.signature.features)] for row in reader.read(body)]
    except Refused as refused:
        return refused.status, refused.detail, refused.problems, refused.total


def slow(signature: Signature, given_settings: Settings) -> RowReader:
    reader = RowReader(signature, given_settings)
    reader._decode = reader._convert = reading._cannot
    return reader


@pytest.mark.parametrize("strict", [False, True])
@given(records=st.lists(RECORDS | GOOD, max_size=5) | GOOD | NESTED)
@example(records=[{"area": 1, "rooms": 9007199254740993, "garden": None, "zone": None}])
@settings(max_examples=400)
def test_both_readings_agree_on_every_body(strict: bool, records: Any) -> None:
    told = Settings(model="", registry="", max_rows=4, strict=strict)
    body = json.dumps(records).encode()
    assert read(RowReader(HOUSE, told), body) == read(slow(HOUSE, told), body)


@given(records=st.lists(GOOD, min_size=1, max_size=4), strict=st.just(False))
def test_good_rows_are_read_fast(records: list[dict[str, Any]], strict: bool) -> None:
    reader = RowReader(HOUSE, SETTINGS)
    reader._judge = lambda _: pytest.fail("read a second time")  # type: ignore[method-assign]
    names = [feature.name for feature in HOUSE.features]
    expected = [[record[name] for name in names] for record in records]
    assert [list(row)[:4] for row in reader.read(json.dumps(records).encode())] == expected
    assert [list(row)[:4] for row in reader.convert(records)] == expected
    for value, kind in zip(reader.convert(records)[0], (float, float, bool, str), strict=False):
        assert value is None or type(value) is kind


@given(signature=strategies.signatures(), data=st.data())
@settings(max_examples=60)
def test_columns_may_be_called_anything(signature: Signature, data: st.DataObject) -> None:
    name = data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
    renamed = Signature(signature.task, (Feature(name, "number"),), "target", ("key\n",), signature.classes)
    body = json.dumps({name: 1.5, "key\n": "any"}).encode()
    if name != "key\n":
        assert read(RowReader(renamed, SETTINGS), body) == [[1.5]]


def test_of_two_equal_keys_the_last_counts_however_it_is_read() -> None:
    body = b'{"area": "no", "area": 1, "rooms": 1, "rooms": 2, "garden": null, "zone": "a", "Id": 1, "Id": 2}'
    assert read(RowReader(HOUSE, SETTINGS), body) == read(slow(HOUSE, SETTINGS), body) == [[1, 2, None, "a"]]


@pytest.mark.parametrize("body", [b'{"area": NaN}', b'{"area": 1e999}', b'[{"Id": Infinity}]', b'{"Id": 1e999}'])
def test_no_constant_passes_for_a_number(body: bytes) -> None:
    whole = body.replace(b"{", b'{"rooms": 1, "garden": true, "zone": "a", ').replace(b'"Id"', b'"area": 1, "Id"')
    answer = read(RowReader(HOUSE, SETTINGS), whole)
    assert answer == read(slow(HOUSE, SETTINGS), whole)
    if b"1e999" not in body or b"area" in body:
        assert answer[0] in (400, 422)


@given(st.recursive(st.text(max_size=5), lambda j: st.lists(j, max_size=3) | st.dictionaries(st.text(), j, max_size=3)))
def test_depth_is_counted_without_reading(data: Any) -> None:
    def depth(value: Any) -> int:
        if not isinstance(value, dict | list):
            return 0
        inside = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inside), default=0)

    assert deepest(json.dumps(data).encode()) == depth(data)
    assert deepest(json.dumps(data, ensure_ascii=False).encode()) == depth(data)


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 500_000, b'"\\' * 500_000, b'["' * 500_000, b"\\" * 1_000_000])
def test_a_body_made_to_be_slow_to_look_at_is_not(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_records(body, 10, 32)
    assert refused.value.status == 400
