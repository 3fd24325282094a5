"""No body makes the server fail, and none gets an answer that is no prediction."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import pytest
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from werkzeug.test import TestResponse

import pegboard.errors
from pegboard.bundle import Bundle
from pegboard.frames import conform
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.specs import Wants
from pegboard_house_prices.plugin import load
from pegboard_serve.service import service

Ask = Callable[..., TestResponse]
House = Callable[..., dict[str, Any]]
OpenBundle = Callable[[str], Bundle]
MakeApp = Callable[..., Flask]
Asking = Callable[[Flask], Ask]

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
JSON = st.recursive(SCALARS, lambda j: st.lists(j, max_size=4) | st.dictionaries(ANY_TEXT, j, max_size=4), max_leaves=8)
FIELDS = ("MSSubClass", "MSZoning", "LotArea", "LotConfig", "BsmtFinSF2", "TotalBsmtSF", "Id", "LotAera", "")


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def checked(response: TestResponse, rows: int = -1) -> dict[str, Any]:
    """The answer's JSON, after what holds for every answer has been asserted."""
    body = json.loads(response.data, parse_constant=no_constant)
    if response.status_code == 200:
        assert response.mimetype == "application/json"
        assert len(body["predictions"]) == rows
        assert all(isinstance(value, float) and math.isfinite(value) for value in body["predictions"])
    else:
        assert 400 <= response.status_code < 500
        assert response.mimetype == "application/problem+json"
        assert body["status"] == response.status_code
        assert body["title"]
        assert body["detail"]
    return body


def refused(response: TestResponse, status: int) -> str:
    assert response.status_code == status, response.text[:500]
    return checked(response)["detail"]


def count(body: bytes) -> int:
    """How many rows an accepted body has."""
    try:
        data = json.loads(body)
    except ValueError:
        return -1
    return len(data) if isinstance(data, list) else 1


@settings(deadline=None, max_examples=150)
@given(body=st.binary(max_size=200) | ANY_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_answered(ask: Ask, body: bytes) -> None:
    checked(ask(body), count(body))


@settings(deadline=None, max_examples=150)
@given(value=JSON)
def test_any_json_is_answered(ask: Ask, value: object) -> None:
    body = json.dumps(value).encode()
    checked(ask(body), count(body))


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_change_to_good_rows_is_answered_as_the_signature_judges(
    ask: Ask, house_with: House, open_bundle: OpenBundle, data: st.DataObject
) -> None:
    rows = [house_with() for _ in range(data.draw(st.integers(1, 3)))]
    for row in rows:
        row.update(data.draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2)))
        for field in data.draw(st.lists(st.sampled_from(FIELDS), max_size=1)):
            row.pop(field, None)
    body = json.dumps(rows)
    fits = not open_bundle("house-prices").signature.problems(rows)
    response = ask(body.encode())
    checked(response, len(rows))
    if "NaN" not in body and "Infinity" not in body:
        assert response.status_code == (200 if fits else 422)


@settings(deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(value=3.4028234663852886e38)
@example(value=-3.4028234663852886e38)
@example(value=5e-324)
def test_the_largest_numbers_still_have_finite_answers(ask_iris: Ask, value: float) -> None:
    names = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
    response = ask_iris({**dict.fromkeys(names, value)})
    body = json.loads(response.data, parse_constant=no_constant)
    assert response.status_code == (200 if abs(value) <= 3.4028234663852886e38 else 422)
    if response.status_code == 200:
        assert sum(body["probabilities"][0].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused_and_null_is_offered(ask: Ask, house_with: House, constant: str) -> None:
    body = json.dumps(house_with()).replace("996.0", constant)
    assert refused(ask(body.encode()), 400) == (
        f"the body is not JSON: {constant} is not a JSON number (null stands for a missing value)"
    )


@pytest.mark.parametrize(
    ("field", "number", "problem"),
    [
        ("TotalBsmtSF", "1e999", "must be a finite number of at most 3.403e+38"),
        ("TotalBsmtSF", "-1e999", "must be a finite number of at most 3.403e+38"),
        ("TotalBsmtSF", "3.5e38", "must be a finite number of at most 3.403e+38"),
        ("TotalBsmtSF", "9" * 4000, "must be a finite number of at most 3.403e+38"),
        ("LotArea", "1e999", "must be an integer"),
        ("LotArea", "9007199254740993", "must be an integer below 2**53 in magnitude"),
        ("LotArea", "9" * 4000, "must be an integer below 2**53 in magnitude"),
    ],
)
def test_a_number_out_of_range_is_refused(ask: Ask, house_with: House, field: str, number: str, problem: str) -> None:
    response = ask(json.dumps(house_with(**{field: 123454321})).replace("123454321", number).encode())
    refused(response, 422)
    assert response.get_json()["problems"] == [{"row": 0, "field": field, "problem": problem}]


def test_an_integer_of_thousands_of_digits_is_refused_in_words_for_a_client(ask: Ask, house_with: House) -> None:
    body = json.dumps(house_with(LotArea=123454321)).replace("123454321", "9" * 5000)
    detail = refused(ask(body.encode()), 400)
    assert "digits" in detail
    assert "set_int_max_str_digits" not in detail


def test_a_lone_surrogate_is_refused_where_it_is(ask: Ask, house_with: House) -> None:
    response = ask(house_with(MSZoning="R\ud800", **{"Lot\udfff": 1}))
    refused(response, 422)
    assert [(p["field"], p["problem"]) for p in response.get_json()["problems"]] == [
        ("MSZoning", "must be valid Unicode: it holds a lone surrogate"),
        ("Lot\udfff", "is not a feature"),
    ]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"LotArea":'])
def test_deep_nesting_is_refused(ask: Ask, opening: bytes) -> None:
    assert refused(ask(opening * 100_000), 400) == "the body is nested deeper than 32 levels"
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"LotAre:a')[::-1]
    assert refused(ask(opening * 100_000 + b"1" + closing * 100_000), 400) == "the body is nested deeper than 32 levels"


def test_nesting_that_can_be_read_is_a_wrong_type(ask: Ask, house_with: House) -> None:
    nested: Any = 1
    for _ in range(15):
        nested = [{"a": nested}]
    response = ask(house_with(LotArea=nested))
    refused(response, 422)
    assert response.get_json()["problems"] == [
        {"row": 0, "field": "LotArea", "problem": "must be an integer, not a list"}
    ]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_another_content_type_is_refused_with_the_right_one(ask: Ask, house_with: House, content_type: str) -> None:
    assert refused(ask(house_with(), content_type), 415) == "send Content-Type: application/json"


def test_a_charset_beside_the_content_type_is_accepted(ask: Ask, house_with: House) -> None:
    checked(ask(house_with(), "application/json; charset=utf-8"), 1)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"LotArea": "\xff"}', "the body is not UTF-8: byte 13"),
        ('{"LotArea": 1}'.encode("utf-16"), "the body is not UTF-8: byte 0"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: Unexpected UTF-8 BOM"),
        (b"", "the body is not JSON: Expecting value: line 1 column 1"),
        (b'{"LotArea": 1,}', "the body is not JSON: "),
        (b"{} {}", "the body is not JSON: Extra data: line 1 column 4"),
        (b"[]", "the body must be a JSON list of at least one object, or one object"),
        (b"null", "the body must be a JSON list of at least one object, or one object"),
        (b'"text"', "the body must be a JSON list of at least one object, or one object"),
    ],
)
def test_what_is_no_list_of_rows_is_refused_with_the_place(ask: Ask, body: bytes, detail: str) -> None:
    assert refused(ask(body), 400).startswith(detail)


def test_of_two_equal_keys_the_last_counts(ask: Ask, house_with: House) -> None:
    twice = json.dumps(house_with(LotArea=1))[:-1] + ', "LotArea": 9627}'
    assert checked(ask(twice.encode()), 1) == checked(ask(house_with()), 1)


def test_ten_thousand_rows_are_answered_and_one_more_is_refused(ask: Ask, house_with: House) -> None:
    row = json.dumps(house_with()).encode()
    body = b"[" + b",".join([row] * 10_000) + b"]"
    assert len(set(checked(ask(body), 10_000)["predictions"])) == 1
    assert refused(ask(body[:-1] + b"," + row + b"]"), 413) == "10001 rows are more than the 10000 allowed"


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_refused(ask: Ask) -> None:
    assert refused(ask(b" " * 16 * 2**20), 400).startswith("the body is not JSON")
    assert refused(ask(b" " * (16 * 2**20 + 1)), 413) == "the body has 16777217 bytes, more than 16777216"


def test_the_limits_are_settings(make_app: MakeApp, asking: Asking, house_with: House) -> None:
    ask_little = asking(make_app(max_rows=2, max_body=1000))
    checked(ask_little([house_with()] * 2), 2)
    assert refused(ask_little([house_with()] * 3), 413) == "3 rows are more than the 2 allowed"
    refused(ask_little([house_with()] * 6), 413)


def test_unknown_fields_cost_no_search_for_each_row(
    ask: Ask, house_with: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One search takes 50 µs: a table with columns too many, or a million made-up names, must not hold the server."""
    searched: list[str] = []
    search = pegboard.errors.get_close_matches

    def counting(word: str, *arguments: Any, **options: Any) -> list[str]:
        searched.append(word.lower())
        return search(word, *arguments, **options)

    monkeypatch.setattr(pegboard.errors, "get_close_matches", counting)
    response = ask([house_with(LotAera=1, price=2)] * 100)
    assert response.get_json()["problem_count"] == 200
    assert sorted(searched) == ["lotaera", "price"]
    refused(ask(house_with(**{f"column {number}": 1 for number in range(20_000)})), 422)
    assert len(searched) <= 1002


@pytest.fixture
def exploding(make_app: MakeApp) -> Flask:
    """An application whose model answers with the exponential of a line: infinite for an enormous lot."""
    app = make_app()
    frame, slot = load(), service(app).slot
    signature = slot.current.predictor.signature
    line = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)
    model = make_pipeline(tabular(signature, Wants(scaling=True)), line)
    predictor = Predictor(model.fit(conform(frame, signature), frame["SalePrice"]), signature)
    slot.current = replace(slot.current, predictor=predictor)
    return app


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_an_infinite_prediction_is_no_answer(exploding: Flask, asking: Asking, house_with: House) -> None:
    checked(asking(exploding)(house_with()), 1)
    response = asking(exploding)([house_with(), house_with(LotArea=2**53 - 1)])
    refused(response, 422)
    (problem,) = response.get_json()["problems"]
    assert problem["row"] == 1
    assert "finite" in problem["problem"]


def test_a_model_that_fails_is_a_problem_document_that_tells_nothing_of_its_inside(
    make_app: MakeApp, asking: Asking, house_with: House
) -> None:
    app = make_app()
    slot = service(app).slot
    slot.current = replace(slot.current, predictor=Predictor(None, slot.current.predictor.signature))
    response = asking(app)(house_with())
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert response.get_json()["title"] == "Internal Server Error"
    assert "NoneType" not in response.text
    assert response.headers["X-Model-Version"].startswith("house-prices/1; sha256=")
