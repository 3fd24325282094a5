"""What POST /predict and GET /health answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flask import Flask
from sklearn.datasets import load_iris
from werkzeug.test import TestResponse

from pegboard.bundle import Bundle
from pegboard_house_prices.plugin import load

Ask = Callable[..., TestResponse]
House = Callable[..., dict[str, Any]]
OpenBundle = Callable[[str], Bundle]


@pytest.fixture(scope="module")
def houses(open_bundle: OpenBundle) -> list[dict[str, Any]]:
    names = [feature.name for feature in open_bundle("house-prices").signature.features]
    return json.loads(load()[names].sample(30, random_state=1).to_json(orient="records"))


@pytest.fixture(scope="module")
def flowers() -> list[dict[str, float]]:
    return load_iris(as_frame=True).data.iloc[::10].to_dict("records")


def predictions(response: TestResponse) -> list[Any]:
    assert response.status_code == 200, response.text
    return response.get_json()["predictions"]


def problems(response: TestResponse) -> list[tuple[Any, Any, str]]:
    assert response.status_code == 422, response.text
    assert response.mimetype == "application/problem+json"
    return [(p["row"], p["field"], p["problem"]) for p in response.get_json()["problems"]]


def price(response: TestResponse) -> Any:
    (single,) = predictions(response)
    return pytest.approx(single, rel=1e-9)


def test_the_house_of_the_readme_costs_what_the_pipeline_says(
    ask: Ask, house_with: House, open_bundle: OpenBundle
) -> None:
    row = pd.DataFrame(
        {k: np.array([v], dtype=object if isinstance(v, str) else float) for k, v in house_with().items()}
    )
    expected = open_bundle("house-prices").pipeline().predict(row)[0]
    response = ask(house_with())
    assert response.mimetype == "application/json"
    assert response.get_json() == {
        "predictions": [pytest.approx(expected, rel=1e-9)],
        "model": "house-prices",
        "version": 1,
    }
    assert 100_000 < expected < 300_000


def test_the_key_may_come_along_and_changes_nothing(ask: Ask, house_with: House) -> None:
    assert predictions(ask(house_with(Id=2930))) == predictions(ask(house_with()))
    assert predictions(ask(house_with(Id="any thing"))) == predictions(ask(house_with()))


def test_one_object_and_a_list_of_one_get_the_same_answer(ask: Ask, house_with: House) -> None:
    assert ask(house_with()).get_json() == ask([house_with()]).get_json()


def test_a_list_keeps_its_order(ask: Ask, houses: list[dict[str, Any]]) -> None:
    alone = [predictions(ask(house))[0] for house in houses]
    assert len(set(alone)) == len(houses)
    assert predictions(ask(houses)) == pytest.approx(alone, rel=1e-9)
    assert predictions(ask(houses[::-1])) == pytest.approx(alone[::-1], rel=1e-9)


def test_the_order_of_fields_does_not_matter(ask: Ask, house_with: House) -> None:
    fields = list(house_with(Id=1).items())
    random.Random(3).shuffle(fields)
    assert predictions(ask(dict(fields))) == predictions(ask(house_with()))


def test_a_whole_number_may_be_written_with_a_point(ask: Ask, house_with: House) -> None:
    body = json.dumps(house_with()).replace("9627", "9627.0").replace("996.0", "996")
    assert predictions(ask(body.encode())) == predictions(ask(house_with()))


def test_null_is_imputed_with_the_median_of_the_training_rows(ask: Ask, house_with: House) -> None:
    median = load()["TotalBsmtSF"].median()
    assert median != 996.0
    assert predictions(ask(house_with(TotalBsmtSF=None))) == [price(ask(house_with(TotalBsmtSF=median)))]


def test_null_is_imputed_alike_for_one_row_and_for_many(ask: Ask, houses: list[dict[str, Any]]) -> None:
    gaps = [{**house, "TotalBsmtSF": None} for house in houses]
    alone = [predictions(ask(house))[0] for house in gaps]
    assert predictions(ask(gaps)) == pytest.approx(alone, rel=1e-9)


def test_null_is_refused_where_the_training_data_has_none(ask: Ask, house_with: House) -> None:
    assert problems(ask(house_with(LotArea=None))) == [
        (0, "LotArea", "must not be null: the training data has no nulls here")
    ]


def test_an_unknown_category_is_accepted(ask: Ask, house_with: House) -> None:
    unknown = predictions(ask(house_with(MSZoning="Moon")))
    assert unknown == predictions(ask(house_with(MSZoning="Mars")))
    assert unknown != predictions(ask(house_with()))


def test_a_missing_field_is_named_and_so_is_whether_null_would_do(ask: Ask, house_with: House) -> None:
    house = house_with()
    del house["LotArea"], house["TotalBsmtSF"]
    assert problems(ask(house)) == [(0, "LotArea", "is missing"), (0, "TotalBsmtSF", "is missing (null is allowed)")]


def test_an_unknown_field_is_refused_with_the_nearest_name(ask: Ask, house_with: House) -> None:
    assert problems(ask(house_with(LotAera=1, zzz=2))) == [
        (0, "LotAera", "is not a feature; did you mean 'LotArea'?"),
        (0, "zzz", "is not a feature"),
    ]


def test_the_target_is_no_field_of_a_request(ask: Ask, house_with: House) -> None:
    assert problems(ask(house_with(SalePrice=1))) == [(0, "SalePrice", "is not a feature")]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("TotalBsmtSF", "996", "must be a number, not a text"),
        ("TotalBsmtSF", True, "must be a number, not a boolean"),
        ("LotArea", "9627", "must be an integer, not a text"),
        ("LotArea", True, "must be an integer, not a boolean"),
        ("MSSubClass", 60.5, "must be an integer"),
        ("MSSubClass", [60], "must be an integer, not a list"),
        ("MSSubClass", {"value": 60}, "must be an integer, not an object"),
        ("MSZoning", 7, "must be a text, not a number"),
        ("MSZoning", False, "must be a text, not a boolean"),
        ("MSZoning", ["RL"], "must be a text, not a list"),
    ],
)
def test_a_wrong_type_is_refused(ask: Ask, house_with: House, field: str, value: object, problem: str) -> None:
    assert problems(ask(house_with(**{field: value}))) == [(0, field, problem)]


def test_every_problem_in_every_row_is_listed_and_counted(ask: Ask, house_with: House) -> None:
    incomplete = house_with(YearBuilt="1993", LotAera=1)
    del incomplete["BldgType"]
    response = ask([house_with(), incomplete, 5, house_with(), house_with(MSZoning=None, OverallCond=5.5)])
    assert problems(response) == [
        (1, "BldgType", "is missing"),
        (1, "YearBuilt", "must be an integer, not a text"),
        (1, "LotAera", "is not a feature; did you mean 'LotArea'?"),
        (2, None, "must be an object with named fields, not a number"),
        (4, "MSZoning", "must not be null: the training data has no nulls here"),
        (4, "OverallCond", "must be an integer"),
    ]
    body = response.get_json()
    assert (body["problem_count"], body["detail"]) == (6, "6 problems in the rows")


def test_of_very_many_problems_the_first_are_listed_and_all_are_counted(ask: Ask) -> None:
    response = ask([{}] * 200)
    listed = problems(response)
    assert listed[0] == (0, "MSSubClass", "is missing")
    assert len(listed) == 1000
    assert response.get_json()["problem_count"] == 200 * 11


def test_classes_come_with_probabilities_that_sum_to_one(
    ask_iris: Ask, flowers: list[dict[str, float]], open_bundle: OpenBundle
) -> None:
    body = ask_iris(flowers).get_json()
    assert list(body) == ["predictions", "probabilities", "model", "version"]
    pipeline = open_bundle("iris").pipeline()
    expected = pipeline.predict_proba(pd.DataFrame(flowers))
    assert [list(row) for row in body["probabilities"]] == [["setosa", "versicolor", "virginica"]] * len(flowers)
    assert [list(row.values()) for row in body["probabilities"]] == pytest.approx(expected, rel=1e-9)
    assert [sum(row.values()) for row in body["probabilities"]] == pytest.approx([1.0] * len(flowers))
    assert body["predictions"] == pipeline.predict(pd.DataFrame(flowers)).tolist()


def test_the_label_is_the_most_probable_class(ask_iris: Ask, flowers: list[dict[str, float]]) -> None:
    body = ask_iris(flowers).get_json()
    assert body["predictions"] == [max(row, key=row.get) for row in body["probabilities"]]
    assert set(body["predictions"]) == {"setosa", "versicolor", "virginica"}


def test_a_regression_has_no_probabilities(ask: Ask, house_with: House) -> None:
    assert "probabilities" not in ask(house_with()).get_json()


def test_every_response_carries_the_version_and_its_digest(
    make_app: Callable[..., Flask], house_with: House, open_bundle: OpenBundle
) -> None:
    client = make_app(max_body=1000).test_client()
    answers = [
        client.post("/predict", json=house_with()),
        client.post("/predict", json=[]),
        client.post("/predict", json={}),
        client.post("/predict", data="x"),
        client.post("/predict", json=" " * 1000),
        client.get("/predict"),
        client.get("/nowhere"),
        client.get("/health"),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 422, 415, 413, 405, 404, 200]
    digest = open_bundle("house-prices").digest
    assert {answer.headers["X-Model-Version"] for answer in answers} == {f"house-prices/1; sha256={digest}"}


def test_health_names_what_is_served(make_app: Callable[..., Flask], open_bundle: OpenBundle) -> None:
    response = make_app("iris").test_client().get("/health")
    digest = open_bundle("iris").digest
    assert response.get_json() == {"status": "ok", "model": "iris", "version": 1, "digest": digest}


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "allowed"),
    [
        ("GET", "/predict", 405, "Method Not Allowed", {"POST", "OPTIONS"}),
        ("DELETE", "/predict", 405, "Method Not Allowed", {"POST", "OPTIONS"}),
        ("POST", "/health", 405, "Method Not Allowed", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/nowhere", 404, "Not Found", None),
        ("POST", "/predict/", 404, "Not Found", None),
    ],
)
def test_a_wrong_method_or_path_is_a_problem_document(
    make_app: Callable[..., Flask], method: str, path: str, status: int, title: str, allowed: set[str] | None
) -> None:
    response = make_app().test_client().open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    body = response.get_json()
    assert (body["type"], body["status"], body["title"]) == ("about:blank", status, title)
    assert len(body["detail"]) > 20
    allow = response.headers.get("Allow")
    assert (set(allow.split(", ")) if allow else None) == allowed
