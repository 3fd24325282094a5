"""MLflow's scoring protocol: its routes, every form of its bodies, and its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pegboard_serve.service import service

House = Callable[..., dict[str, Any]]
Invoke = Callable[..., TestResponse]
FORMS = "dataframe_split, dataframe_records, instances, inputs"
IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture(scope="module")
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture(scope="module")
def invoke(client: FlaskClient) -> Invoke:
    return posting(client)


@pytest.fixture(scope="module")
def invoke_iris(make_app: Callable[..., Flask]) -> Invoke:
    return posting(make_app("iris").test_client())


def posting(client: FlaskClient) -> Invoke:
    def post(body: Any, content_type: str = "application/json") -> TestResponse:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.post("/invocations", data=data, content_type=content_type)

    return post


def predictions(response: TestResponse) -> list[Any]:
    assert response.status_code == 200, response.text
    assert response.mimetype == "application/json"
    assert list(response.get_json()) == ["predictions"]
    return response.get_json()["predictions"]


def error(response: TestResponse, code: str = "BAD_REQUEST") -> str:
    assert response.status_code == 400, response.text
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert list(body) == ["error_code", "message"]
    assert body["error_code"] == code
    return body["message"]


def unfit(response: TestResponse) -> str:
    return error(response, "INVALID_PARAMETER_VALUE")


def csv(rows: list[dict[str, Any]]) -> str:
    return "".join(",".join(map(str, line)) + "\n" for line in (list(rows[0]), *(row.values() for row in rows)))


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def split(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows], **more}}


def test_ping_is_readiness(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    assert app.test_client().get("/ping").get_json() == app.test_client().get("/ready").get_json()
    assert app.test_client().get("/ping").status_code == 200
    service(app).draining = True
    assert app.test_client().get("/ping").status_code == 503
    assert app.test_client().get("/health").status_code == 200


def test_version_is_the_servers_own_as_a_bare_text(client: FlaskClient) -> None:
    response = client.get("/version")
    assert (response.text, response.content_type) == (version("pegboard-serve"), "text/plain; charset=utf-8")


def test_every_form_means_the_same(invoke: Invoke, ask: Any, house_with: House) -> None:
    rows = [house_with(), house_with(LotArea=20_000), house_with(MSZoning="unheard of")]
    expected = ask(rows).get_json()["predictions"]
    for body in (
        split(rows),
        split(rows, index=["a", 1, None]),
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": rows},
        {"instances": columns(rows)},
        {"inputs": columns(rows)},
        {"inputs": rows, "params": {}},
        {"inputs": rows, "params": None, "else": "ignored, as MLflow ignores it"},
    ):
        assert predictions(invoke(body)) == expected
    for content_type in ("text/csv", "text/csv; charset=utf-8", "TEXT/CSV;charset=UTF-8"):
        assert predictions(invoke(csv(rows), content_type)) == expected


def test_one_value_for_each_column_is_one_row(invoke: Invoke, ask: Any, house_with: House) -> None:
    assert predictions(invoke({"inputs": house_with()})) == ask(house_with()).get_json()["predictions"]


def test_classes_are_answered_with_their_labels(invoke_iris: Invoke) -> None:
    rows = [dict(zip(IRIS, row, strict=True)) for row in FLOWERS]
    for body in ({"dataframe_records": rows}, split(rows), {"inputs": columns(rows)}):
        assert predictions(invoke_iris(body)) == ["setosa", "virginica"]
    assert predictions(invoke_iris(csv(rows), "text/csv")) == ["setosa", "virginica"]


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_rows_may_be_lists_if_all_features_are_numbers(invoke_iris: Invoke, invoke: Invoke, form: str) -> None:
    assert predictions(invoke_iris({form: FLOWERS})) == ["setosa", "virginica"]
    assert error(invoke_iris({form: [[1, 2, 3]]})) == "row 0 has 3 values for 4 columns"
    assert error(invoke_iris({form: [FLOWERS[0], {}]})) == "the rows must be all objects, or all lists"
    assert unfit(invoke_iris({form: [FLOWERS[0], [1, 2, 3, "4"]]})).endswith(
        "row 1, petal width (cm): must be a number, not a text"
    )
    assert error(invoke({form: [[1] * 11]})) == (
        "the rows must be objects with named fields: not all features are numbers"
    )


def test_null_and_what_a_csv_has_for_it_are_missing(invoke: Invoke, ask: Any, house_with: House) -> None:
    row = house_with(BsmtFinSF2=None, TotalBsmtSF=None)
    expected = ask(row).get_json()["predictions"]
    assert predictions(invoke({"dataframe_records": [row]})) == expected
    assert predictions(invoke(split([row]))) == expected
    for text in ("", "NA", "NaN", "null", "None", "<NA>"):
        assert predictions(invoke(csv([row]).replace("None", text), "text/csv")) == expected


def test_a_csv_is_read_as_files_are(invoke: Invoke, ask: Any, house_with: House) -> None:
    rows = [house_with(MSZoning="R,L"), house_with(MSZoning="é")]
    text = csv(rows).replace("R,L", '"R,L"')
    expected = ask(rows).get_json()["predictions"]
    assert predictions(invoke(text, "text/csv")) == expected
    assert predictions(invoke(text.replace("\n", "\r\n"), "text/csv")) == expected
    assert predictions(invoke("\ufeff" + text, "text/csv")) == expected
    assert predictions(invoke(text.replace("9627", "9627.0"), "text/csv")) == expected


def test_keys_may_come_along(invoke: Invoke, ask: Any, house_with: House) -> None:
    row = house_with(Id="007")
    expected = ask(row).get_json()["predictions"]
    for body in (split([row]), {"dataframe_records": [row]}, {"inputs": row}):
        assert predictions(invoke(body)) == expected
    assert predictions(invoke(csv([row]), "text/csv")) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, f"the body must be a JSON object with exactly one of {FORMS}"),
        ({"inputs": [], "instances": []}, f"the body must be a JSON object with exactly one of {FORMS}"),
        ({"predictions": []}, f"the body must be a JSON object with exactly one of {FORMS}"),
        ([], "the body is not what this route takes: Expected `object`, got `array`"),
        ({"inputs": []}, "the body must hold at least one row"),
        ({"inputs": {"LotArea": []}}, "the body must hold at least one row"),
        ({"dataframe_records": []}, "the body must hold at least one row"),
        ({"dataframe_split": {"columns": [], "data": []}}, "the body must hold at least one row"),
        ({"dataframe_records": {}}, "Expected `array`, got `object` - at `$.dataframe_records`"),
        ({"dataframe_split": []}, "Expected `object`, got `array` - at `$.dataframe_split`"),
        ({"dataframe_split": {"data": [[1]]}}, "Object missing required field `columns` - at `$.dataframe_split`"),
        (
            {"dataframe_split": {"columns": [0], "data": []}},
            "Expected `str`, got `int` - at `$.dataframe_split.columns",
        ),
        ({"dataframe_split": {"columns": [], "data": [], "x": 1}}, "Object contains unknown field `x`"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "row 1 has 2 values for 1 columns"),
        ({"dataframe_split": {"columns": ["a"], "data": [1]}}, "Expected `array`, got `int`"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "the columns must be lists of the same length"),
        ({"inputs": {"a": [1], "b": 1}}, "the columns must be lists of the same length"),
        ({"inputs": 1}, "Expected `object | array`, got `int` - at `$.inputs`"),
        ({"inputs": [{}], "params": {"a": 1, "b": 2}}, "the model takes no params: leave out a, b"),
        (b"{", "the body is not JSON: "),
        (b'{"\xff"}', "the body is not UTF-8: byte 2"),
    ],
)
def test_what_is_no_table_is_a_bad_request(invoke: Invoke, body: Any, message: str) -> None:
    assert message in error(invoke(body))


def test_columns_that_are_missing_or_unknown_are_named_once(invoke: Invoke, house_with: House) -> None:
    rows = [{("LotAera" if name == "LotArea" else name): v for name, v in house_with().items()}] * 3
    expected = "2 problems in the rows: LotArea: is missing; LotAera: is not a feature; did you mean 'LotArea'?"
    assert unfit(invoke(split(rows))) == expected
    assert unfit(invoke({"inputs": columns(rows)})) == expected
    assert unfit(invoke(csv(rows), "text/csv")) == expected
    assert unfit(invoke({"dataframe_records": rows[:1]})) == expected.replace("LotArea:", "row 0, LotArea:").replace(
        "LotAera:", "row 0, LotAera:"
    )
    twice = split([house_with()])
    twice["dataframe_split"]["columns"][2] = "MSZoning"
    assert unfit(invoke(twice)) == "2 problems in the rows: MSZoning: comes more than once; LotArea: is missing"


def test_all_problems_are_listed_with_row_and_column(invoke: Invoke, house_with: House) -> None:
    rows = [house_with(LotArea="big"), house_with(), house_with(MSZoning=1, YearBuilt=None)]
    expected = (
        "3 problems in the rows: row 0, LotArea: must be an integer, not a text; "
        "row 2, MSZoning: must be a text, not a number; "
        "row 2, YearBuilt: must not be null: the training data has no nulls here"
    )
    for body in (split(rows), {"dataframe_records": rows}, {"inputs": columns(rows)}):
        assert unfit(invoke(body)) == expected
    in_csv = csv(rows).replace("None", "")
    assert unfit(invoke(in_csv, "text/csv")) == expected.replace("3 problems", "2 problems").replace(
        "row 2, MSZoning: must be a text, not a number; ", ""
    )
    assert unfit(invoke({"instances": [1, None]})).startswith("2 problems in the rows: row 0: must be an object")


def test_a_message_is_of_bounded_length(invoke: Invoke, house_with: House) -> None:
    message = unfit(invoke({"dataframe_records": [house_with(**{"x" * 100_000: 1})] * 100}))
    assert message.startswith("100 problems in the rows: row 0, xxx")
    assert message.endswith("; and 50 more")
    assert len(message) < 50 * 310 + 100
    assert len(error(invoke({"inputs": [{}], "params": {"p" * 100_000: 1}}))) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "No columns to parse from file"),
        (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff"),
        (b"LotArea,LotArea\n1,2\n", "columns that come more than once: LotArea"),
        (b"LotArea\n1\n1,2\n", "Expected 1 fields in line 3, saw 2"),
        (b"LotArea\n1,2\n", "its first row has more fields than its header"),
    ],
)
def test_what_is_no_csv_is_a_bad_request(invoke: Invoke, text: bytes, message: str) -> None:
    found = error(invoke(text, "text/csv"))
    assert found.startswith("the body is not a CSV with a header, in UTF-8: ")
    assert message in found


def test_a_csv_without_rows_is_a_bad_request(invoke: Invoke, house_with: House) -> None:
    assert error(invoke(csv([house_with()]).splitlines()[0], "text/csv")) == "the body must hold at least one row"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/vnd.apache.parquet", "text/csv2"])
def test_another_content_type_is_refused_in_plain_text_as_mlflow_does(invoke: Invoke, content_type: str) -> None:
    response = invoke(b"", content_type)
    assert (response.status_code, response.content_type) == (415, "text/plain; charset=utf-8")
    assert response.text == "send Content-Type: application/json or text/csv"


def test_another_charset_is_refused(invoke: Invoke) -> None:
    response = invoke(b"", "text/csv; charset=latin-1")
    assert (response.status_code, response.text) == (415, "the scoring server only supports UTF-8")


def test_more_rows_than_allowed_are_refused_in_every_form(make_app: Callable[..., Flask], house_with: House) -> None:
    invoke, rows = posting(make_app(max_rows=2).test_client()), [house_with()] * 3
    asked = [invoke(body) for body in (split(rows), {"dataframe_records": rows}, {"inputs": columns(rows)})]
    for response in (*asked, invoke(csv(rows), "text/csv")):
        assert (response.status_code, response.mimetype) == (413, "application/json")
        assert response.get_json() == {
            "error_code": "BAD_REQUEST",
            "message": "3 rows are more than the 2 allowed",
        }
    assert len(predictions(invoke(csv(rows[:2]), "text/csv"))) == 2
