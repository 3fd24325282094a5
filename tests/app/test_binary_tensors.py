"""Tensors in Triton's binary form, as its own client sends them unless it is told not to."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

House = Callable[..., dict[str, Any]]
Infer = Callable[..., TestResponse]
IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
HEADER = "Inference-Header-Content-Length"
LAYOUTS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "UINT16": "<u2", "INT8": "<i1"}


@pytest.fixture(scope="module")
def infer(make_app: Callable[..., Flask]) -> Infer:
    client = make_app().test_client()
    return lambda body, length=None: post(client, body, "house-prices", length)


@pytest.fixture(scope="module")
def iris(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app("iris").test_client()


def post(client: FlaskClient, body: Any, model: str, length: int | str | None = None) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if length is None else {HEADER: str(length)}
    return client.post(f"/v2/models/{model}/infer", data=data, headers=headers)


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = {str: "BYTES", int: "INT64", float: "FP64", type(None): "FP64"}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return [
        {"name": name, "shape": [len(rows), 1], "datatype": kinds[type(values[0])], "data": values}
        for name, values in columns.items()
    ]


def packed(datatype: str, data: list[Any]) -> bytes:
    if datatype != "BYTES":
        return np.array(data, LAYOUTS[datatype]).tobytes()
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)


def in_binary(inputs: list[dict[str, Any]], **more: Any) -> tuple[bytes, int]:
    """Return a body with all tensors in their binary form, and how long its JSON is."""
    raws = [packed(tensor["datatype"], tensor["data"]) for tensor in inputs]
    return joined(inputs, raws, **more)


def joined(inputs: list[dict[str, Any]], raws: list[bytes], **more: Any) -> tuple[bytes, int]:
    written = [
        {**{key: value for key, value in tensor.items() if key != "data"}, "parameters": {"binary_data_size": len(raw)}}
        for tensor, raw in zip(inputs, raws, strict=True)
    ]
    text = json.dumps({"inputs": written, **more}).encode()
    return text + b"".join(raws), len(text)


def error(response: TestResponse) -> str:
    assert response.status_code == 400, response.text
    assert response.mimetype == "application/json"
    assert HEADER not in response.headers
    return response.get_json()["error"]


def test_binary_tensors_mean_what_json_means(infer: Infer, house_with: House) -> None:
    rows = [house_with(MSZoning="RÄ"), house_with(LotArea=20_000)]
    body, length = in_binary(tensors(rows), id="b")
    assert infer(body, length=length).get_json() == infer({"id": "b", "inputs": tensors(rows)}).get_json()
    assert error(infer(body)).startswith("the body is not ")


def test_nan_in_a_binary_tensor_is_a_missing_value_and_infinity_is_refused(infer: Infer, house_with: House) -> None:
    def answer(value: float) -> TestResponse:
        body, length = in_binary(tensors([house_with(TotalBsmtSF=value)]))
        return infer(body, length=length)

    assert answer(float("nan")).get_json() == infer({"inputs": tensors([house_with(TotalBsmtSF=None)])}).get_json()
    assert error(answer(float("inf"))) == (
        "1 problem in the rows: row 0, TotalBsmtSF: must be a finite number of at most 3.403e+38"
    )


@pytest.mark.parametrize("everything", [True, False])
def test_outputs_come_in_binary_where_that_is_asked_for(iris: FlaskClient, everything: bool) -> None:
    inputs = tensors([dict(zip(IRIS, row, strict=True)) for row in FLOWERS])
    plain = post(iris, {"inputs": inputs}, "iris").get_json()["outputs"]
    wanted = [{"name": "predict", "parameters": {"binary_data": everything}}, {"name": "probabilities"}]
    more = {"outputs": wanted, "parameters": {"binary_data_output": True}}
    response = post(iris, {"inputs": inputs, **more}, "iris")
    assert response.mimetype == "application/octet-stream"
    length = int(response.headers["Inference-Header-Content-Length"])
    labels, probabilities = json.loads(response.data[:length])["outputs"]
    binary = response.data[length:]
    if everything:
        assert labels["parameters"] == {"binary_data_size": 23}
        assert "data" not in labels
        assert binary[:23] == b"\x06\0\0\0setosa\x09\0\0\0virginica"
        binary = binary[23:]
    else:
        assert labels == plain[0]
    assert probabilities["parameters"] == {"binary_data_size": 48}
    assert np.frombuffer(binary, "<f8").tolist() == plain[1]["data"]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "UINT16", "INT64"])
def test_every_datatype_of_numbers_fits_a_number(infer: Infer, house_with: House, datatype: str) -> None:
    inputs = tensors([house_with(OverallCond=5, TotalBsmtSF=100.0)])
    expected = infer({"inputs": inputs}).get_json()
    for tensor in inputs:
        if tensor["name"] in ("OverallCond", "TotalBsmtSF"):
            tensor["datatype"] = datatype
    body, length = in_binary(inputs)
    assert infer(body, length).get_json() == expected


def test_a_float32_is_the_number_that_it_holds(infer: Infer, house_with: House) -> None:
    inputs = tensors([house_with(TotalBsmtSF=0.1)])
    inputs[-1]["datatype"] = "FP32"
    body, length = in_binary(inputs)
    held = tensors([house_with(TotalBsmtSF=float(np.float32(0.1)))])
    assert infer(body, length).get_json() == infer({"inputs": held}).get_json()


def test_binary_and_json_tensors_may_be_mixed(infer: Infer, house_with: House) -> None:
    inputs = tensors([house_with()])
    body, length = in_binary(inputs)
    mixed = json.loads(body[:length])
    first = mixed["inputs"][0].pop("parameters")["binary_data_size"]
    mixed["inputs"][0]["data"] = inputs[0]["data"]
    text = json.dumps(mixed).encode()
    response = infer(text + body[length + first :], len(text))
    assert response.get_json() == infer({"inputs": inputs}).get_json()


def test_one_binary_tensor_may_hold_all_features(iris: FlaskClient) -> None:
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": [value for row in FLOWERS for value in row]}
    body, length = in_binary([tensor])
    assert post(iris, body, "iris", length).get_json() == post(iris, {"inputs": [tensor]}, "iris").get_json()


@pytest.mark.parametrize("length", ["", "x", "-1", "+1", "1.0", "٣", "999999", "1" * 5000])
def test_a_header_that_is_no_length_is_refused(infer: Infer, house_with: House, length: str) -> None:
    body, _ = in_binary(tensors([house_with()]))
    if not length.isascii():
        length = length.encode().decode("latin-1")
    assert error(infer(body, length)) == "Inference-Header-Content-Length is no length within the body"


def test_binary_data_must_be_as_long_as_the_inputs_say(infer: Infer, house_with: House) -> None:
    body, length = in_binary(tensors([house_with()]))
    assert error(infer(body + b"x", length)) == "the body holds more binary data than its inputs say"
    assert error(infer(body[:-1], length)) == ("input TotalBsmtSF has a binary_data_size that the body does not hold")
    for size in ("8", 8.0, -8, 10**30, True):
        text = json.loads(body[:length])
        text["inputs"][-1]["parameters"]["binary_data_size"] = size
        changed = json.dumps(text).encode()
        assert error(infer(changed + body[length:], len(changed))).startswith(
            "input TotalBsmtSF has a binary_data_size"
        )


@pytest.mark.parametrize(
    ("column", "raw", "problem"),
    [
        ("LotArea", b"1234567", "LotArea: has 7 bytes, which are no whole number of INT64"),
        ("LotArea", b"", "LotArea: has 0 elements, which is not what its shape says"),
        ("MSZoning", b"\2\0\0", "MSZoning: ends within an element"),
        ("MSZoning", b"\2\0\0\0R", "MSZoning: ends within an element"),
        ("MSZoning", b"\xff\xff\xff\xffRL", "MSZoning: ends within an element"),
        ("MSZoning", b"\1\0\0\0\xff", "MSZoning: has an element that is not UTF-8"),
        ("MSZoning", b"\0\0\0\0" * 2, "MSZoning: has 2 elements, which is not what its shape says"),
    ],
)
def test_bad_bytes_are_refused_and_their_column_is_named(
    infer: Infer, house_with: House, column: str, raw: bytes, problem: str
) -> None:
    inputs = tensors([house_with()])
    raws = [raw if t["name"] == column else packed(t["datatype"], t["data"]) for t in inputs]
    body, length = joined(inputs, raws)
    assert error(infer(body, length)) == f"1 problem in the rows: {problem}"
