"""What /openapi.json says is what the server does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.test import TestResponse

from pegboard.bundle import Bundle
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature
from pegboard_serve.openapi.rows import feature_schema, plain

MakeApp = Callable[..., Flask]
Schema = dict[str, Any]


def document(app: Flask) -> Schema:
    response = app.test_client().get("/openapi.json")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    return response.get_json()


def operations(described: Schema) -> dict[str, Schema]:
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in described["paths"].items()
        for method in ("get", "post")
        if method in item
    }


def body_validator(described: Schema, route: str = "POST /predict") -> Draft202012Validator:
    (content, *_) = operations(described)[route]["requestBody"]["content"].values()
    return Draft202012Validator({**content["schema"], "components": described["components"]})


@pytest.fixture(scope="module", params=["house-prices", "iris"])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=[False, True], ids=["lenient", "strict"])
def app(request: pytest.FixtureRequest, make_app: MakeApp, model: str) -> Flask:
    return make_app(model, strict=request.param, access_log=False)


def test_the_description_is_valid_openapi_3_1(app: Flask) -> None:
    described = document(app)
    assert described["openapi"] == "3.1.0"
    validate(described)


def test_every_route_is_described_and_every_described_route_is_there(app: Flask) -> None:
    routed = {
        f"{method} {rule.rule.replace('<', '{').replace('>', '}')}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint not in ("static", "pages.docs_file")
    }
    assert operations(document(app)).keys() == routed


def test_operations_have_names_of_their_own(app: Flask) -> None:
    names = [operation["operationId"] for operation in operations(document(app)).values()]
    assert len(set(names)) == len(names) > 20


def test_every_example_of_a_body_fits_its_schema_and_is_answered_alike(app: Flask) -> None:
    client, answers = app.test_client(), {}
    described = document(app)
    for route, operation in operations(described).items():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            for name, example in content.get("examples", {}).items():
                version = described["info"]["version"]
                path = route.split()[1].format(name=described["info"]["title"].split()[0], version=version)
                response = client.post(path, json=example["value"], content_type=media_type)
                assert response.status_code == 200, response.text
                assert body_validator(described, route).is_valid(example["value"])
                answers[route, name] = first_answer(response)
    assert len(answers) == 6
    (expected, *others) = answers.values()
    assert all(other == (pytest.approx(expected) if isinstance(expected, float) else expected) for other in others)


def first_answer(response: TestResponse) -> Any:
    body = response.get_json()
    return body["outputs"][0]["data"][0] if "outputs" in body else body["predictions"][0]


def test_the_example_is_the_first_row_that_the_bundle_keeps_in_the_order_of_the_signature(
    app: Flask, model: str, open_bundle: Callable[[str], Bundle]
) -> None:
    bundle, row = open_bundle(model), document(app)["components"]["schemas"]["Row"]
    (example,) = row["examples"]
    assert example == bundle.replay()["rows"][0]
    assert list(example) == [feature.name for feature in bundle.signature.features] == row["required"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["RL", "1Fam", "", "nowhere", "é", "\x00"]),
    st.integers(-(2**60), 2**60),
    st.floats(-100, 300),
    st.sampled_from([60.0, 0.5, -0.0, LARGEST_NUMBER, -LARGEST_NUMBER, 1e39, -1e39, 10**400]),
    st.sampled_from([LARGEST_INTEGER, -LARGEST_INTEGER, 2**53, -(2**53), float(2**53)]),
    st.just([]),
    st.just({"a": 1}),
)


@given(data=st.data())
def test_the_schema_of_a_row_allows_exactly_what_the_server_answers(app: Flask, data: st.DataObject) -> None:
    described = document(app)
    (example,) = described["components"]["schemas"]["Row"]["examples"]
    changed = st.dictionaries(st.sampled_from([*example, "Id", "nothing"]), VALUES, max_size=2)
    row = {**example, **data.draw(changed)}
    for name in data.draw(st.sets(st.sampled_from(list(example)), max_size=1)):
        del row[name]
    body = data.draw(st.sampled_from([row, [row], [example, row], [], [[row]], [None]]))
    response = app.test_client().post("/predict", json=body)
    assert body_validator(described).is_valid(body) == (response.status_code == 200), response.text


KINDS = ["number", "integer", "boolean", "category"]


@given(
    kind=st.sampled_from(KINDS),
    nullable=st.booleans(),
    strict=st.booleans(),
    categories=st.none() | st.sets(st.sampled_from(["RL", "1Fam", "nowhere"]), min_size=1).map(tuple),
    value=VALUES,
)
def test_the_schema_of_a_feature_agrees_with_the_signature(
    kind: Any, nullable: bool, strict: bool, categories: tuple[str, ...] | None, value: Any
) -> None:
    feature = Feature("f", kind, nullable, categories=categories if kind == "category" else None)
    allowed = Draft202012Validator(feature_schema(feature, strict)).is_valid(value)
    assert allowed == (feature.problem(value, strict) is None)


def test_what_training_saw_is_told_and_is_no_constraint(make_app: MakeApp) -> None:
    area = document(make_app(access_log=False))["components"]["schemas"]["Row"]["properties"]["LotArea"]
    assert area == {
        "type": "integer",
        "minimum": -(2**53 - 1),
        "maximum": 2**53 - 1,
        "description": "Training saw 1300 to 215245; other values are accepted.",
        "x-training-range": [1300, 215245],
    }


def test_categories_are_closed_only_where_the_server_is_strict(make_app: MakeApp) -> None:
    def of(strict: bool) -> Schema:
        described = document(make_app(strict=strict, access_log=False))
        return described["components"]["schemas"]["Row"]["properties"]["LotConfig"]

    known = {"type": "string", "enum": ["Corner", "CulDSac", "FR2", "FR3", "Inside"]}
    assert of(strict=True) == known
    assert of(strict=False)["anyOf"] == [known, {"type": "string"}]


def test_a_limit_that_is_set_stands_in_the_description(make_app: MakeApp) -> None:
    described = document(make_app(max_rows=7, access_log=False))
    _, rows = operations(described)["POST /predict"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert rows["maxItems"] == 7


SECURED = {
    "POST /predict",
    "POST /invocations",
    "POST /admin/reload",
    "POST /v2/models/{name}/infer",
    "POST /v2/models/{name}/versions/{version}/infer",
}


def test_routes_that_ask_for_a_token_say_so_only_where_there_are_tokens(make_app: MakeApp, tmp_path: Any) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"someone {'0' * 64}\n")
    described = document(app := make_app(tokens=str(file), access_log=False))
    asking = {route for route, operation in operations(described).items() if operation.get("security")}
    assert asking == {route for route, o in operations(described).items() if "401" in o["responses"]} == SECURED
    assert described["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    validate(described)
    assert app.test_client().get("/openapi.json").status_code == 200
    without = document(make_app(access_log=False))
    assert "securitySchemes" not in without["components"]
    assert not any("security" in o or "401" in o["responses"] for o in operations(without).values())


def test_a_host_that_is_not_trusted_is_a_described_answer_of_every_route(make_app: MakeApp) -> None:
    described = document(make_app(trusted_hosts=("localhost",), access_log=False))
    assert all("400" in operation["responses"] for operation in operations(described).values())
    assert "400" not in operations(document(make_app(access_log=False)))["GET /health"]["responses"]


@pytest.mark.parametrize(
    ("value", "shown"), [(60.0, "60"), (0.1, "0.1"), (-3, "-3"), (1e300, "1e+300"), (2.0**53, "9007199254740992.0")]
)
def test_numbers_are_written_as_people_do(value: float, shown: str) -> None:
    assert plain(value) == shown
