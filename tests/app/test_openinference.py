"""The Open Inference Protocol: its routes, every shape of its tensors, and its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from werkzeug.test import TestResponse

from pegboard.frames import conform
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.specs import Wants
from pegboard_serve.service import service

House = Callable[..., dict[str, Any]]
Infer = Callable[..., TestResponse]
IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture(scope="module")
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def iris(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app("iris").test_client()


@pytest.fixture(scope="module")
def infer(client: FlaskClient) -> Infer:
    return lambda body: post(client, body)


def post(client: FlaskClient, body: Any, model: str = "house-prices") -> TestResponse:
    return client.post(f"/v2/models/{model}/infer", data=json.dumps(body))


def datatype(value: Any) -> str:
    return {str: "BYTES", int: "INT64", bool: "BOOL"}.get(type(value), "FP64")


def tensors(rows: list[dict[str, Any]], shape: tuple[int, ...] = (1,)) -> list[dict[str, Any]]:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return [
        {"name": name, "shape": [len(rows), *shape], "datatype": datatype(values[0]), "data": values}
        for name, values in columns.items()
    ]


def error(response: TestResponse, status: int = 400) -> str:
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    assert "Inference-Header-Content-Length" not in response.headers
    (message,) = response.get_json().values()
    assert list(response.get_json()) == ["error"]
    return message


def test_the_server_says_who_it_is_and_that_it_takes_binary_tensors(client: FlaskClient) -> None:
    assert client.get("/v2").get_json() == client.get("/v2/").get_json()
    assert client.get("/v2").get_json() == {
        "name": "pegboard",
        "version": version("pegboard-serve"),
        "extensions": ["binary_tensor_data"],
    }


READY = ["/v2/health/ready", "/v2/models/house-prices/ready", "/v2/models/house-prices/versions/1/ready"]


@pytest.mark.parametrize("route", READY)
def test_a_draining_server_is_alive_and_not_ready(make_app: Callable[..., Flask], route: str) -> None:
    app = make_app()
    ready = app.test_client().get(route)
    assert (ready.status_code, ready.get_json()["ready"]) == (200, True)
    service(app).draining = True
    drained = app.test_client().get(route)
    assert (drained.status_code, drained.get_json()["ready"]) == (503, False)
    assert app.test_client().get("/v2/health/live").get_json() == {"live": True}


def test_the_metadata_names_a_tensor_for_each_feature(client: FlaskClient) -> None:
    found = client.get("/v2/models/house-prices").get_json()
    assert found == client.get("/v2/models/house-prices/versions/1").get_json()
    assert (found["name"], found["versions"], found["platform"]) == ("house-prices", ["1"], "pegboard")
    assert found["inputs"][:2] == [
        {"name": "MSSubClass", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "MSZoning", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    assert found["inputs"][-1] == {"name": "TotalBsmtSF", "datatype": "FP64", "shape": [-1, 1]}
    assert len(found["inputs"]) == 11
    assert found["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1, 1]}]


def test_the_metadata_of_classes_name_them_in_the_order_of_their_probabilities(iris: FlaskClient) -> None:
    classes = ["setosa", "versicolor", "virginica"]
    assert iris.get("/v2/models/iris").get_json()["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3], "parameters": {"classes": classes}},
    ]


@pytest.mark.parametrize("model", ["other", "iris", "house-prices/versions/2", "house-prices/versions/01"])
@pytest.mark.parametrize("route", ["", "/ready", "/infer"])
def test_another_model_or_version_is_not_found(client: FlaskClient, house_with: House, model: str, route: str) -> None:
    send = client.post if route == "/infer" else client.get
    body = {"json": {"inputs": tensors([house_with()])}} if route == "/infer" else {}
    message = error(send(f"/v2/models/{model}{route}", **body), 404)
    assert message == f"{model.replace('/versions', '')} is not served here: house-prices/1 is"


def test_a_version_in_the_address_is_answered_by_that_version(client: FlaskClient, house_with: House) -> None:
    response = client.post("/v2/models/house-prices/versions/1/infer", json={"inputs": tensors([house_with()])})
    assert response.status_code == 200
    assert response.headers["X-Model-Version"].startswith("house-prices/1; sha256=")


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("nested", [False, True])
def test_a_prediction_is_a_column(infer: Infer, ask: Any, house_with: House, shape: Any, nested: bool) -> None:
    rows = [house_with(), house_with(LotArea=20_000)]
    inputs = tensors(rows, shape)
    if nested:
        inputs = [{**tensor, "data": [[value] for value in tensor["data"]]} for tensor in inputs]
    response = infer({"id": "42", "inputs": inputs})
    assert response.mimetype == "application/json"
    expected = ask(rows).get_json()["predictions"]
    assert response.get_json() == {
        "model_name": "house-prices",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "predict", "datatype": "FP64", "shape": [2, 1], "data": expected}],
    }


def test_an_identifier_is_returned_only_if_one_was_given(infer: Infer, house_with: House) -> None:
    for given_id in ("", "ü\n", "x" * 1000):
        assert infer({"id": given_id, "inputs": tensors([house_with()])}).get_json()["id"] == given_id
    assert "id" not in infer({"inputs": tensors([house_with()])}).get_json()
    assert error(infer({"id": "\ud800", "inputs": tensors([house_with()])})) == (
        "id must be valid Unicode: it holds a lone surrogate"
    )
    assert "Expected `str | null`, got `int` - at `$.id`" in error(infer({"id": 7, "inputs": []}))


def test_what_mlservers_pandas_codec_sends_is_answered(infer: Infer, ask: Any, house_with: House) -> None:
    rows = [house_with(BsmtFinSF2=None), house_with()]
    inputs = [
        {**tensor, "parameters": {"content_type": "str"} if tensor["datatype"] == "BYTES" else None}
        for tensor in tensors(rows)
    ]
    body = {"id": None, "parameters": {"content_type": "pd", "headers": {}}, "inputs": inputs, "outputs": None}
    (output,) = infer(body).get_json()["outputs"]
    assert output["data"] == ask(rows).get_json()["predictions"]


@pytest.mark.parametrize("content_type", ["base64", "pd_json", "datetime", 1, ["np"]])
def test_a_content_type_that_changes_what_data_mean_is_refused(
    infer: Infer, house_with: House, content_type: Any
) -> None:
    inputs, parameters = tensors([house_with()]), {"content_type": content_type}
    problem = "has a content_type that is not supported: np, pd and str are"
    assert error(infer({"inputs": inputs, "parameters": parameters})) == f"the request {problem}"
    inputs[2]["parameters"] = parameters
    assert error(infer({"inputs": inputs})) == f"1 problem in the rows: LotArea: {problem}"


def test_keys_may_come_along(infer: Infer, ask: Any, house_with: House) -> None:
    row = house_with(Id="house 1")
    assert infer({"inputs": tensors([row])}).get_json()["outputs"][0]["data"] == ask(row).get_json()["predictions"]


def test_classes_have_labels_and_probabilities(iris: FlaskClient, ask_iris: Any) -> None:
    rows = [dict(zip(IRIS, row, strict=True)) for row in FLOWERS]
    labels, probabilities = post(iris, {"inputs": tensors(rows)}, "iris").get_json()["outputs"]
    expected = ask_iris(rows).get_json()
    assert labels == {"name": "predict", "datatype": "BYTES", "shape": [2, 1], "data": ["setosa", "virginica"]}
    assert probabilities["data"] == [p for row in expected["probabilities"] for p in row.values()]
    assert (probabilities["shape"], probabilities["datatype"]) == ([2, 3], "FP64")


def test_the_outputs_are_those_asked_for_in_that_order(iris: FlaskClient) -> None:
    inputs = tensors([dict(zip(IRIS, FLOWERS[0], strict=True))])
    for names in (["probabilities"], ["probabilities", "predict"], ["predict"]):
        wanted = [{"name": name} for name in names]
        body = post(iris, {"inputs": inputs, "outputs": wanted}, "iris").get_json()
        assert [output["name"] for output in body["outputs"]] == names
    for names in (["other"], ["predict", "predict"]):
        wanted = [{"name": name} for name in names]
        assert error(post(iris, {"inputs": inputs, "outputs": wanted}, "iris")) == (
            "the outputs may be predict and probabilities, each once"
        )


@pytest.mark.parametrize("data", [FLOWERS, [value for row in FLOWERS for value in row]])
def test_one_tensor_may_hold_all_features_if_they_are_numbers(iris: FlaskClient, data: list[Any]) -> None:
    tensor = {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": data}
    answer = post(iris, {"inputs": [tensor]}, "iris").get_json()
    columns = tensors([dict(zip(IRIS, row, strict=True)) for row in FLOWERS])
    assert answer == post(iris, {"inputs": columns}, "iris").get_json()
    for wrong, problem in [
        ({"shape": [2, 3]}, "has a shape other than [rows, 4]"),
        ({"shape": [1, 4]}, "has 8 elements, which is not what its shape says"),
        ({"datatype": "BYTES"}, "has datatype BYTES where FP64 is right"),
        ({"data": [[1, 2], [3]]}, "has nested data that are not rows of 4"),
    ]:
        assert error(post(iris, {"inputs": [{**tensor, **wrong}]}, "iris")) == f"input input-0 {problem}"


def test_one_tensor_cannot_hold_texts_too(infer: Infer) -> None:
    message = error(infer({"inputs": [{"name": "x", "shape": [1, 11], "datatype": "FP64", "data": [0.0] * 11}]}))
    assert message.startswith("13 problems in the rows: MSSubClass: is missing; MSZoning: is missing")
    assert message.endswith("x: is not a feature; x: has a shape other than [rows, 1] or [rows]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2]}, "must have the same number of rows"),
        ({"shape": [0]}, "must have the same number of rows, at least one"),
        ({"shape": []}, "must have the same number of rows"),
        ({"shape": [-1]}, "must have the same number of rows"),
        ({"shape": [1, 2]}, "LotArea: has a shape other than [rows, 1] or [rows]"),
        ({"shape": [1, 1, 1]}, "LotArea: has a shape other than [rows, 1] or [rows]"),
        ({"shape": ["1"]}, "Expected `int`, got `str` - at `$.inputs[2].shape[0]`"),
        ({"shape": None}, "Expected `array`, got `null` - at `$.inputs[2].shape`"),
        ({"datatype": "BYTES"}, "LotArea: has datatype BYTES where INT64 is right"),
        ({"datatype": "BF16"}, "LotArea: has datatype BF16 where INT64 is right"),
        ({"data": [1, 2]}, "LotArea: has 2 elements, which is not what its shape says"),
        ({"data": []}, "LotArea: has 0 elements"),
        ({"data": None}, "LotArea: has neither data nor a binary_data_size"),
        ({"data": ["9627"]}, "row 0, LotArea: must be an integer, not a text"),
        ({"data": [None]}, "row 0, LotArea: must not be null"),
        ({"data": [{}]}, "row 0, LotArea: must be an integer, not an object"),
        ({"data": [[1], [2]]}, "LotArea: has 2 elements"),
        ({"data": [[[1]]]}, "row 0, LotArea: must be an integer, not a list"),
        ({"data": 1}, "Expected `array | null`, got `int` - at `$.inputs[2].data`"),
        ({"name": "LotAera"}, "LotArea: is missing; LotAera: is not a feature; did you mean 'LotArea'?"),
        ({"name": "MSZoning"}, "MSZoning: comes more than once; LotArea: is missing"),
        ({"name": "\udfff"}, "\\udfff: is not a feature"),
        ({"parameters": {"binary_data_size": 8}}, "input LotArea has a binary_data_size that the body does not hold"),
        ({"parameters": []}, "Expected `object | null`, got `array` - at `$.inputs[2].parameters`"),
    ],
)
def test_a_bad_tensor_is_refused_and_named(infer: Infer, house_with: House, change: Any, message: str) -> None:
    inputs = tensors([house_with()])
    inputs[2] |= change
    assert message in error(infer({"inputs": inputs}))


def test_a_model_that_knows_no_probabilities_has_no_such_output(make_app: Callable[..., Flask]) -> None:
    app = make_app("iris")
    slot = service(app).slot
    signature, flowers = slot.current.bundle.signature, load_iris(as_frame=True)
    model = make_pipeline(tabular(signature, Wants(scaling=True)), LinearSVC())
    model.fit(conform(flowers.data, signature), flowers.target_names[flowers.target])
    slot.current = replace(slot.current, predictor=Predictor(model, signature))
    client = app.test_client()
    assert [output["name"] for output in client.get("/v2/models/iris").get_json()["outputs"]] == ["predict"]
    inputs = tensors([dict(zip(IRIS, row, strict=True)) for row in FLOWERS])
    (labels,) = post(client, {"inputs": inputs}, "iris").get_json()["outputs"]
    assert labels["data"] == ["setosa", "virginica"]
    wanted = [{"name": "probabilities"}]
    assert error(post(client, {"inputs": inputs, "outputs": wanted}, "iris")) == "the outputs may be predict, each once"
