"""What holds on every route: the same rows get the same numbers, and no body makes the server fail."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Plugin, load_plugins
from pegboard.signature import Feature, Signature
from pegboard.testing.strategies import values
from pegboard.training import pipeline
from pegboard_serve.app import create_app
from pegboard_serve.service import service
from pegboard_serve.settings import Settings

KINDS = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES"}
V2, MLFLOW = "/v2/models/cabins/infer", "/invocations"
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
JSON = st.recursive(SCALARS, lambda j: st.lists(j, max_size=4) | st.dictionaries(ANY_TEXT, j, max_size=4), max_leaves=8)


def load_cabins() -> pd.DataFrame:
    """A feature of every kind, with and without nulls, a key, and classes that are numbers."""
    random = np.random.default_rng(7)
    rows = 120
    area, sunny = random.uniform(10, 90, rows), random.random(rows) < 0.5
    frame = pd.DataFrame(
        {
            "number": [f"c{i}" for i in range(rows)],
            "area": area,
            "height": np.where(random.random(rows) < 0.2, np.nan, random.uniform(2, 4, rows)),
            "floors": random.integers(1, 4, rows),
            "sunny": sunny,
            "heated": np.where(random.random(rows) < 0.2, None, random.random(rows) < 0.5),
            "zone": random.choice(["north", "süd", "NA"], rows),
            "view": np.where(random.random(rows) < 0.3, None, random.choice(["lake", "hill"], rows)),
        }
    )
    return frame.assign(stars=((area > 40).astype(int) + sunny))


class Cabins:
    @hookimpl
    def register_sources(self) -> list[SourceSpec]:
        return [SourceSpec(name="cabins", task="classification", target="stars", load=load_cabins, keys=("number",))]


@pytest.fixture(scope="module")
def cabins(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    registry = tmp_path_factory.mktemp("cabins") / "registry"
    manager = load_plugins()
    manager.add(Cabins(), Plugin("cabins", "cabins", "1"))
    experiment = Experiment(name="cabins", source="cabins", models=("logistic-regression",), registry=str(registry))
    pipeline.run(experiment, manager, Catalog(manager))
    settings = Settings(model="cabins", registry=str(registry), access_log=False, max_body=2**16, max_depth=32)
    return create_app(settings).test_client()


@pytest.fixture(scope="module")
def signature(cabins: FlaskClient) -> Signature:
    found = service(cabins.application).slot.current.bundle.signature
    assert {(f.kind, f.nullable) for f in found.features} >= {("boolean", True), ("category", True), ("number", True)}
    return found


def tensors(rows: list[dict[str, Any]], signature: Signature) -> list[dict[str, Any]]:
    return [
        {"name": f.name, "shape": [len(rows), 1], "datatype": KINDS[f.kind], "data": [row[f.name] for row in rows]}
        for f in signature.features
    ]


def csv(rows: list[dict[str, Any]]) -> bytes:
    return pd.DataFrame(rows, dtype=object).to_csv(index=False).encode()


def writable(feature: Feature) -> st.SearchStrategy[Any]:
    """Values that a CSV holds to the last bit: pandas' reader rounds long numbers in its own way."""
    if feature.kind != "number":
        return values(feature, 1e6)
    quarters = st.integers(-4_000_000, 4_000_000).map(lambda n: n / 4)
    return quarters | st.none() if feature.nullable else quarters


@settings(max_examples=60)
@given(data=st.data())
def test_every_protocol_answers_the_same_numbers(
    cabins: FlaskClient, signature: Signature, data: st.DataObject
) -> None:
    row = st.fixed_dictionaries({feature.name: values(feature, 1e6) for feature in signature.features})
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    plain = cabins.post("/predict", json=rows).get_json()
    labels, probabilities = cabins.post(V2, json={"inputs": tensors(rows, signature)}).get_json()["outputs"]
    assert labels["data"] == plain["predictions"]
    assert labels["datatype"] == "INT64"
    assert probabilities["data"] == [value for of_row in plain["probabilities"] for value in of_row.values()]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = list(zip(*columns.values(), strict=True))
    for body in (
        {"dataframe_split": {"columns": list(rows[0]), "data": table}},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": columns},
    ):
        assert cabins.post(MLFLOW, json=body).get_json() == {"predictions": plain["predictions"]}


@settings(max_examples=60)
@given(data=st.data())
def test_a_csv_answers_the_same_labels(cabins: FlaskClient, signature: Signature, data: st.DataObject) -> None:
    row = st.fixed_dictionaries({feature.name: writable(feature) for feature in signature.features})
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    response = cabins.post(MLFLOW, data=csv(rows), content_type="text/csv")
    assert response.get_json() == {"predictions": cabins.post("/predict", json=rows).get_json()["predictions"]}


def test_a_text_that_means_missing_elsewhere_is_a_category_where_training_saw_it(
    cabins: FlaskClient, signature: Signature
) -> None:
    row = next(iter(load_cabins().to_dict("records")))
    names = [feature.name for feature in signature.features]
    lake = {name: row[name] for name in names} | {"zone": "NA", "view": "lake", "heated": True, "height": 2.5}
    expected = cabins.post("/predict", json=lake).get_json()["predictions"]
    text = csv([lake]).replace(b"lake", b"NA")
    assert b"NA" in text
    assert cabins.post(MLFLOW, data=csv([lake]), content_type="text/csv").get_json()["predictions"] == expected
    no_view = cabins.post("/predict", json={**lake, "view": None}).get_json()["predictions"]
    assert cabins.post(MLFLOW, data=text, content_type="text/csv").get_json()["predictions"] == no_view


def refused(response: Any) -> str:
    """The one text of either protocol's error."""
    assert 400 <= response.status_code < 500, response.text[:300]
    body = json.loads(response.data)
    return body.get("error") or body["message"]


def body_of(route: str, value: str, signature: Signature) -> bytes:
    """A good request on either route, with a JSON text where the floors should be."""
    row = {
        f.name: {"number": 2.5, "integer": 2, "boolean": True, "category": "lake"}[f.kind] for f in signature.features
    }
    row["floors"] = 123454321
    body = {"inputs": tensors([row], signature)} if route == V2 else {"dataframe_records": [row]}
    return json.dumps(body).replace("123454321", value).encode()


@pytest.mark.parametrize("route", [V2, MLFLOW])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("NaN", "the body is not JSON: NaN is not a JSON number (null stands for a missing value)"),
        ("-Infinity", "the body is not JSON: -Infinity is not a JSON number (null stands for a missing value)"),
        ("1e999", "1 problem in the rows: row 0, floors: must be an integer"),
        ("9" * 400, "1 problem in the rows: row 0, floors: must be an integer below 2**53 in magnitude"),
        ("9007199254740993", "1 problem in the rows: row 0, floors: must be an integer below 2**53 in magnitude"),
        ("9" * 5000, "the body holds an integer of too many digits"),
        ("2.5", "1 problem in the rows: row 0, floors: must be an integer"),
        ("[" * 10_000 + "]" * 10_000, "the body is nested deeper than 32 levels"),
        ('"\\ud800"', "1 problem in the rows: row 0, floors: must be an integer, not a text"),
    ],
)
def test_the_limits_of_json_are_those_of_predict(
    cabins: FlaskClient, signature: Signature, route: str, value: str, message: str
) -> None:
    good = cabins.post(route, data=body_of(route, "2", signature), content_type="application/json")
    assert good.status_code == 200
    response = cabins.post(route, data=body_of(route, value, signature), content_type="application/json")
    assert response.status_code == 400
    assert refused(response) == message


@pytest.mark.parametrize("route", [V2, MLFLOW])
def test_of_two_equal_keys_the_last_counts(cabins: FlaskClient, signature: Signature, route: str) -> None:
    good = body_of(route, "2", signature)
    key = b'"data": [2]' if route == V2 else b'"floors": 2'
    twice = good.replace(key, key.replace(b"2", b'"x"') + b", " + key)
    assert twice != good
    asked = [cabins.post(route, data=body, content_type="application/json") for body in (good, twice)]
    assert asked[0].status_code == 200
    assert asked[0].data == asked[1].data
    swapped = good.replace(key, key + b", " + key.replace(b"2", b'"x"'))
    assert "not a text" in refused(cabins.post(route, data=swapped, content_type="application/json"))


@pytest.mark.parametrize("route", [V2, MLFLOW])
def test_a_body_that_is_too_large_is_refused_in_the_protocols_own_words(cabins: FlaskClient, route: str) -> None:
    response = cabins.post(route, data=b" " * (2**16 + 1), content_type="application/json")
    assert response.status_code == 413
    assert refused(response) == "the body has 65537 bytes, more than 65536"


@pytest.mark.parametrize(
    ("route", "expected"),
    [("/v2/models/house-prices/infer", {"error": "{}"}), (MLFLOW, {"error_code": "UNAUTHENTICATED", "message": "{}"})],
)
def test_without_a_token_each_protocol_says_so_in_its_own_way(
    make_app: Callable[..., Flask], tmp_path: Path, route: str, expected: dict[str, str]
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ci {hashlib.sha256(b'secret').hexdigest()}\n")
    client = make_app(tokens=str(tokens)).test_client()
    response = client.post(route, json={})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    found = response.get_json()
    assert found == {key: text.format(refused(response)) for key, text in expected.items()}
    known = client.post(route, json={}, headers={"Authorization": "Bearer secret"})
    assert known.status_code == 400


@settings(max_examples=150)
@given(
    body=st.binary(max_size=200) | ANY_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")), csv=st.booleans()
)
def test_any_bytes_are_answered(cabins: FlaskClient, body: bytes, csv: bool) -> None:
    assert refused(cabins.post(V2, data=body))
    assert refused(cabins.post(V2, data=body, headers={"Inference-Header-Content-Length": str(len(body) // 2)}))
    assert refused(cabins.post(MLFLOW, data=body, content_type="text/csv" if csv else "application/json"))


@settings(max_examples=200)
@given(data=st.data())
def test_any_json_in_a_good_request_is_answered(cabins: FlaskClient, signature: Signature, data: st.DataObject) -> None:
    tensor = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("name", "shape", "datatype", "data", "parameters"), JSON)
    )
    inputs = json.loads(body_of(V2, "2", signature))["inputs"]
    inputs[data.draw(st.integers(0, len(inputs) - 1))] |= data.draw(tensor)
    more = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "outputs", "parameters"), JSON)))
    response = cabins.post(V2, data=json.dumps({"inputs": inputs, **more}))
    if response.status_code == 200:
        assert all(map(math.isfinite, response.get_json()["outputs"][1]["data"]))
    else:
        refused(response)
    form = data.draw(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]))
    refused(cabins.post(MLFLOW, data=json.dumps({form: data.draw(JSON)}), content_type="application/json"))
