"""The servers that are compared: how each is started, asked and understood."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import HERE
from models import Model

PROGRAMS = HERE / "programs"


@dataclass(frozen=True)
class Place:
    """Where a server is to be started: its environment's interpreter, free ports, a directory of its own."""

    python: Path
    ports: tuple[int, int, int]
    directory: Path
    model: Model

    @property
    def port(self) -> int:
        """The port of the predictions; MLServer takes the two others for its gRPC and its metrics."""
        return self.ports[0]

    def tool(self, name: str) -> str:
        """Return the path of a console script in the server's environment."""
        return str(self.python.parent / name)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server: ``start`` prepares it and returns its command, ``body`` is a request for a house in its own format.

    ``answer`` finds the prediction in a decoded response; ``exact`` is whether the prediction is the model's.
    """

    name: str
    title: str
    environment: str = "pegboard"
    start: Callable[[Place], list[str]]
    variables: Callable[[Place], Mapping[str, str]] = lambda _: {}
    path: str = "/predict"
    body: Callable[[Model], Any] = lambda model: [model.house]
    answer: Callable[[Any], Any] = lambda decoded: decoded["predictions"][0]
    exact: bool = True

    def request(self, model: Model) -> str:
        """Return the body of the one request that is sent again and again."""
        return json.dumps(self.body(model), separators=(",", ":"))


def _program(name: str, argument: Callable[[Model], str]) -> Callable[[Place], list[str]]:
    return lambda place: [
        str(place.python), str(PROGRAMS / name), str(place.port), argument(place.model)
    ]  # fmt: skip


def _pegboard(*options: str) -> Callable[[Place], list[str]]:
    def start(place: Place) -> list[str]:
        model = place.model
        return [
            place.tool("pegboard"), "serve", model.version, "--registry", str(model.registry),
            "--port", str(place.port), *options,
        ]  # fmt: skip

    return start


def _mlflow(place: Place) -> list[str]:
    model = place.directory / "model"
    save = [place.python, PROGRAMS / "mlflow_model.py", place.model.pipeline, model]
    subprocess.run(save, check=True, capture_output=True, text=True)
    return [
        place.tool("mlflow"), "models", "serve", "--model-uri", str(model), "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(place.port), "--workers", "1",
    ]  # fmt: skip


def _bentoml(place: Place) -> list[str]:
    return [
        place.tool("bentoml"), "serve", "bentoml_service:Houses", "--working-dir", str(PROGRAMS),
        "--host", "127.0.0.1", "--port", str(place.port),
    ]  # fmt: skip


def _mlserver(place: Place) -> list[str]:
    settings = {
        "name": "houses",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(place.model.pipeline)},
    }
    (place.directory / "model-settings.json").write_text(json.dumps(settings))
    return [place.tool("mlserver"), "start", str(place.directory)]


def _mlserver_variables(place: Place) -> dict[str, str]:
    http, grpc, metrics = map(str, place.ports)
    return {
        "MLSERVER_HOST": "127.0.0.1", "MLSERVER_HTTP_PORT": http, "MLSERVER_GRPC_PORT": grpc,
        "MLSERVER_METRICS_PORT": metrics, "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": "0",  # in the server's own process: measured cheaper than one worker beside it
    }  # fmt: skip


def _dataframe_split(model: Model) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(model.house), "data": [list(model.house.values())]}}


def _open_inference(model: Model) -> dict[str, Any]:
    types = {"integer": "INT64", "number": "FP64", "boolean": "BOOL", "category": "BYTES"}
    columns = [
        {"name": name, "shape": [1, 1], "datatype": types[model.kinds[name]], "data": [value]}
        | ({"parameters": {"content_type": "str"}} if model.kinds[name] == "category" else {})
        for name, value in model.house.items()
    ]
    return {"parameters": {"content_type": "pd"}, "inputs": columns}


#: In the order of a round: whom ours is compared with most closely stands next to it.
SERVERS = (
    Server(
        name="waitress", title="bare waitress (L1)", exact=False,
        start=_program("waitress_constant.py", lambda model: model.answer),
    ),
    Server(name="pegboard", title="Pegboard", start=_pegboard()),
    Server(
        name="flask", title="bare Flask (L0)", exact=False,
        start=_program("flask_constant.py", lambda model: model.answer),
    ),
    Server(name="pegboard-2", title="Pegboard, 2 processes", start=_pegboard("--processes", "2")),
    Server(
        name="naive", title="Flask + pipeline.predict (A)",
        start=_program("naive.py", lambda model: str(model.pipeline)),
    ),
    Server(
        name="mlflow", title="MLflow", environment="mlflow", start=_mlflow, path="/invocations",
        variables=lambda _: {"UVICORN_ACCESS_LOG": "false"},
        body=_dataframe_split,
    ),
    Server(
        name="bentoml", title="BentoML", environment="bentoml", start=_bentoml,
        variables=lambda place: {"PIPELINE": str(place.model.pipeline), "BENTOML_DO_NOT_TRACK": "True"},
        body=lambda model: {"rows": [model.house]}, answer=lambda decoded: decoded[0],
    ),
    Server(
        name="mlserver", title="MLServer", environment="mlserver", start=_mlserver, variables=_mlserver_variables,
        path="/v2/models/houses/infer", body=_open_inference,
        answer=lambda decoded: decoded["outputs"][0]["data"][0],
    ),
)  # fmt: skip
