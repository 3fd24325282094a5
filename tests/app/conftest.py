"""Two experiments, trained once into one registry: house prices, and iris as an experiment with classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flask import Flask
from sklearn.datasets import load_iris
from werkzeug.test import TestResponse

from pegboard import SourceSpec, hookimpl
from pegboard.bundle import Bundle
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Plugin, load_plugins
from pegboard.registry import Registry
from pegboard.training import pipeline
from pegboard_serve.app import create_app
from pegboard_serve.settings import Settings

Ask = Callable[..., TestResponse]


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


class Flowers:
    @hookimpl
    def register_sources(self) -> list[SourceSpec]:
        return [SourceSpec(name="iris", task="classification", target="species", load=load_flowers)]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("served") / "registry"
    manager = load_plugins(environ={})
    manager.add(Flowers(), Plugin("flowers", "flowers", "1"))
    catalog = Catalog(manager)
    for source, model in (("house-prices", "linear-regression"), ("iris", "logistic-regression")):
        experiment = Experiment(name=source, source=source, models=(model,), registry=str(location))
        pipeline.run(experiment, manager, catalog)
    return location


@pytest.fixture(scope="session")
def open_bundle(registry: Path) -> Callable[[str], Bundle]:
    def opened(model: str) -> Bundle:
        found = Registry(registry)
        return found.open(found.resolve(model))

    return opened


@pytest.fixture(scope="session")
def make_app(registry: Path) -> Callable[..., Flask]:
    def made(model: str = "house-prices", **limits: int) -> Flask:
        return create_app(Settings(model=model, registry=str(registry), **limits))

    return made


@pytest.fixture(scope="session")
def asking() -> Callable[[Flask], Ask]:
    """From an application to a function that posts rows, or the raw bytes of a body, to its /predict."""

    def of(app: Flask) -> Ask:
        def post(body: Any, content_type: str = "application/json") -> TestResponse:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            return app.test_client().post("/predict", data=data, content_type=content_type)

        return post

    return of


@pytest.fixture(scope="session")
def ask(make_app: Callable[..., Flask], asking: Callable[[Flask], Ask]) -> Ask:
    return asking(make_app())


@pytest.fixture(scope="session")
def ask_iris(make_app: Callable[..., Flask], asking: Callable[[Flask], Ask]) -> Ask:
    return asking(make_app("iris"))


@pytest.fixture(scope="session")
def house_with() -> Callable[..., dict[str, Any]]:
    """The house of the README; keyword arguments change fields."""
    house = {
        "MSSubClass": 60,
        "MSZoning": "RL",
        "LotArea": 9627,
        "LotConfig": "Inside",
        "BldgType": "1Fam",
        "OverallCond": 5,
        "YearBuilt": 1993,
        "YearRemodAdd": 1994,
        "Exterior1st": "HdBoard",
        "BsmtFinSF2": 0.0,
        "TotalBsmtSF": 996.0,
    }
    return lambda **changes: {**house, **changes}
