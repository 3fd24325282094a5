"""Two experiments, trained once into one registry: house prices, and iris as an experiment with classes."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from pegboard.bundle import Bundle
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import load_plugins
from pegboard.registry import Registry
from pegboard.training import pipeline
from pegboard_serve.app import create_app
from pegboard_serve.settings import Settings

Ask = Callable[..., TestResponse]

HERE = Path(__file__).parent
PEGBOARD = Path(sys.executable).with_name("pegboard")


def _load(name: str) -> Any:
    """Import a module that lies beside this one: pytest puts no directory on the path."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


served = _load("served")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, train_into: Callable[..., None]) -> Path:
    location = tmp_path_factory.mktemp("served") / "registry"
    train_into(location, {"house-prices": ["linear-regression"], "iris": ["logistic-regression"]})
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


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start ``pegboard serve`` on a free port, or another command; capitals go into its environment."""
    running: list[Any] = []

    def started(
        *arguments: object,
        before: tuple[str, ...] = (),
        command: tuple[str, ...] = (str(PEGBOARD), "serve", "--port", "0"),
        read: bool = True,
        **environment: str,
    ) -> Any:
        whole = [*before, *command, *map(str, arguments)]
        running.append(served.Served(tmp_path_factory.mktemp("served"), whole, environment, read))
        return running[-1]

    yield started
    for each in running:
        each.stop()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start clients in a closed loop: when this returns, each has an answer."""
    running: list[subprocess.Popen[str]] = []

    def started(server: Any, row: dict[str, Any], *arguments: object) -> subprocess.Popen[str]:
        body = tmp_path / "body.json"
        body.write_text(json.dumps(row))
        command = [sys.executable, HERE / "serving_load.py", *server.address, body, *arguments]
        clients = subprocess.Popen(map(str, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(clients)
        assert clients.stdout is not None
        assert clients.stdout.readline() == "running\n"
        return clients

    yield started
    for clients in running:
        clients.kill()
        clients.communicate()


@pytest.fixture(scope="session")
def two_models(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with house-prices/1, linear, and house-prices/2, a forest; the alias ``live`` is on the first."""
    location = tmp_path_factory.mktemp("two") / "registry"
    shutil.copytree(registry, location)
    manager = load_plugins()
    experiment = Experiment(
        name="house-prices", source="house-prices", models=("random-forest-regressor",), registry=str(location)
    )
    pipeline.run(experiment, manager, Catalog(manager))
    Registry(location).promote("house-prices/1", "live")
    return location


@pytest.fixture(scope="session")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which ``sleeper`` can be served: a model that takes as many seconds as a row says."""
    location = tmp_path_factory.mktemp("sleepy") / "registry"
    environment = {"PYTHONPATH": str(HERE), "PEGBOARD_REGISTRY": str(location), "PEGBOARD_MODEL": "sleeper"}
    environment["PEGBOARD_UNPICKLE"] = "sleeper:Sleeper"
    command = [sys.executable, "-c", "import sleeper, sys; sleeper.publish(sys.argv[1])", str(location)]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=served.PATIENCE)
    return environment
