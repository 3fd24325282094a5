"""JSON that parsers disagree about, or choke on: refused with a reason on every prediction route, over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

#: How a house is sent on each route, and where its refusals say why.
WRITERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "/predict": lambda house: [house],
    "/v2/models/house-prices/infer": lambda house: {"inputs": [_tensor(name, house[name]) for name in house]},
    "/v2/models/house-prices/versions/1/infer": lambda house: {
        "inputs": [_tensor(name, house[name]) for name in house]
    },
    "/invocations": lambda house: {"dataframe_split": {"columns": list(house), "data": [list(house.values())]}},
    "/invocations#records": lambda house: {"dataframe_records": [house]},
    "/invocations#instances": lambda house: {"instances": [house]},
    "/invocations#inputs": lambda house: {"inputs": {name: [value] for name, value in house.items()}},
}
REASONS = ("detail", "error", "message")
HERE = "@here@"

DEEP = 100_000
#: JSON by its grammar: refused in a feature, and ignored in a key as all keys are.
GRAMMATICAL = {
    "1e999": b"1e999",
    "-1e999": b"-1e999",
    "a lone surrogate": b'"\\ud800"',
    "a lone low surrogate": b'"\\udc00x"',
}
VALUES = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "5,000 digits": b"9" * 5000,
    "-5,000 digits": b"-" + b"9" * 5000,
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and never closed": b"[" * DEEP,
    "bad UTF-8": b'"\xff\xfe"',
    "an overlong slash": b'"\xc0\xaf"',
    "half a character": b'"\xe2\x82"',
    "a control character": b'"\x01"',
    "nothing": b"",
    "a leading zero": b"012",
    "a hexadecimal number": b"0x10",
    "a comma too many": b"1,",
}


def _tensor(name: str, value: Any) -> dict[str, Any]:
    kind = "BYTES" if isinstance(value, str) and value != HERE else "FP64" if isinstance(value, float) else "INT64"
    return {"name": name, "shape": [1], "datatype": kind, "data": [value]}


@pytest.fixture(scope="module")
def served(serve: Serve, registry: Path) -> Any:
    return serve("house-prices", "--registry", registry)


def written(route: str, house: dict[str, Any], value: bytes) -> bytes:
    return json.dumps(WRITERS[route](house)).encode().replace(f'"{HERE}"'.encode(), value)


def post(served: Any, route: str, body: bytes, content_type: str = "application/json") -> Any:
    return served.ask("POST", route.partition("#")[0], body, Content_Type=content_type)


def is_refused(response: Any, what: object) -> bool:
    assert 400 <= response.status < 500, (what, response)
    (reason,) = [response.json()[key] for key in REASONS if key in response.json()]
    assert len(reason) > 10
    return True


@pytest.mark.parametrize("route", WRITERS)
@pytest.mark.parametrize("field", ["LotArea", "MSZoning", "Id"])
def test_what_is_no_value_is_refused_in_a_feature_and_in_a_key(
    served: Any, house_with: House, route: str, field: str
) -> None:
    house, before = house_with(Id=7), len(served.complaints)
    assert post(served, route, written(route, house, b"")).status == 200
    for name, value in (VALUES if field == "Id" else VALUES | GRAMMATICAL).items():
        response = post(served, route, written(route, house | {field: HERE}, value))
        assert is_refused(response, name)
    assert post(served, route, written(route, house, b"")).status == 200
    assert served.complaints[before:] == []


@pytest.mark.parametrize("route", WRITERS)
def test_bodies_that_are_none_and_other_content_types_are_refused(served: Any, house_with: House, route: str) -> None:
    body, before = written(route, house_with(), b""), len(served.complaints)
    for wrong in (
        b"",
        b"[",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        body[:-1],
        body + b"]",
        b"\xef\xbb\xbf" + body,
        b"\0",
    ):
        assert is_refused(post(served, route, wrong), wrong[:20])
    for encoding in ("utf-16", "utf-32"):
        assert is_refused(post(served, route, body.decode().encode(encoding)), encoding)
    if not route.startswith("/v2"):  # its specification asks for no content type
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/json2"):
            assert post(served, route, body, content_type).status == 415
    assert served.complaints[before:] == []


@pytest.mark.parametrize("route", WRITERS)
def test_of_two_equal_keys_the_last_counts(served: Any, house_with: House, route: str) -> None:
    def answered(first: int, last: int) -> bytes:
        house = json.dumps(WRITERS[route](house_with(LotArea=HERE, YearBuilt=1960)))
        if route == "/invocations":  # a table has no keys in its rows: the table itself comes twice
            tables = [house.replace(f'"{HERE}"', str(area))[1:-1] for area in (first, last)]
            body = "{" + ", ".join(tables) + "}"
        elif route.startswith("/v2"):
            body = house.replace(f'"data": ["{HERE}"]', f'"data": [{first}], "data": [{last}]')
        elif route == "/invocations#inputs":
            body = house.replace(f'["{HERE}"]', f'[{first}], "LotArea": [{last}]')
        else:
            body = house.replace(f'"{HERE}"', f'{first}, "LotArea": {last}')
        response = post(served, route, body.encode())
        assert response.status == 200, response
        return response.body

    assert answered(5_000, 50_000) == answered(50_000, 50_000)
    assert answered(50_000, 5_000) == answered(5_000, 5_000)
    assert answered(5_000, 5_000) != answered(50_000, 50_000)
