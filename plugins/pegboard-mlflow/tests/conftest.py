"""A real MLflow server, in an environment of its own, and a small experiment to tell it of."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from pegboard import ModelSpec, SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import PegboardError
from pegboard.manager import Manager, Plugin, load_plugins
from pegboard.registry import Registry
from pegboard.runs.record import RunRecord, Runs
from pegboard.training import pipeline

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
MOST_SECONDS = 120


def server_python() -> Path:
    """Return the interpreter of the server's environment, made if there is none with these requirements."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    place = CACHE / f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    python, finished = place / "bin/python", place / "finished"
    if not finished.exists():
        CACHE.mkdir(exist_ok=True)
        (CACHE / ".gitignore").write_text("*\n")
        venv.create(place, with_pip=True, clear=True)
        # The file is the whole of it, resolved before: no need to look at each package's wishes again.
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--requirement", requirements], check=True)
        finished.touch()
    return python


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class MlflowServer:
    """``mlflow server`` with SQLite, which can be killed and started again; and what it has, by its own REST API."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        python = server_python()
        stores = [f"--backend-store-uri=sqlite:///{self.directory}/mlflow.db", f"--artifacts-destination={self.files}"]
        command = [python, "-m", "mlflow", "server", *stores, "--workers=1", "--host=127.0.0.1", f"--port={self.port}"]
        log = (self.directory / "log").open("a")
        environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"}
        environ.pop("MLFLOW_TRACKING_URI", None)
        self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)
        log.close()
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if requests.get(f"{self.uri}/health", timeout=5).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.1)
        pytest.fail(f"mlflow server did not start: {(self.directory / 'log').read_text()}")

    def kill(self) -> None:
        """End the server and its workers as a power cut would."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def files(self) -> Path:
        """Where the server keeps artifacts."""
        return self.directory / "artifacts"

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._answer(requests.get(f"{self.uri}/api/2.0/mlflow/{path}", params=parameters, timeout=60))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._answer(requests.post(f"{self.uri}/api/2.0/mlflow/{path}", json=body, timeout=60))

    def _answer(self, response: requests.Response) -> dict[str, Any]:
        assert response.ok, response.text
        found: dict[str, Any] = response.json()
        return found

    def runs(self, experiment: str, kind: str = "ACTIVE_ONLY") -> list[dict[str, Any]]:
        """Return an experiment's runs with their tags, parameters and metrics as tables, parents first."""
        answer = requests.get(
            f"{self.uri}/api/2.0/mlflow/experiments/get-by-name", {"experiment_name": experiment}, timeout=60
        )
        if answer.status_code == 404:
            return []
        number = self._answer(answer)["experiment"]["experiment_id"]
        told = self.post("runs/search", experiment_ids=[number], run_view_type=kind, max_results=1000)
        runs = [_as_tables(run) for run in told.get("runs", ())]
        return sorted(runs, key=lambda run: ("mlflow.parentRunId" in run["tags"], run["info"]["run_name"]))

    def versions(self, name: str) -> list[dict[str, Any]]:
        found = self.get("model-versions/search", filter=f"name='{name}'").get("model_versions", [])
        return [{**version, "tags": _table(version["tags"])} for version in found]

    def aliases(self, name: str) -> dict[str, str]:
        model = self.get("registered-models/get", name=name)["registered_model"]
        return {alias["alias"]: alias["version"] for alias in model.get("aliases", ())}


def _as_tables(run: dict[str, Any]) -> dict[str, Any]:
    data = run["data"]
    return {
        "info": run["info"],
        "inputs": run["inputs"],
        **{k: _table(data.get(k, ())) for k in ("tags", "params", "metrics")},
    }


def _table(pairs: Any) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def mlflow_server(real_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MlflowServer:
    """The server, named as users name it; and a cache of this test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real_server.uri)
    monkeypatch.setenv("PEGBOARD_CACHE", str(tmp_path / "cache"))
    return real_server


def houses(password: str = "") -> pd.DataFrame:
    generator = np.random.default_rng(0)
    area = generator.uniform(50, 300, 120).round(1)
    kind = np.where(generator.random(120) < 0.4, "flat", "house")
    frame = pd.DataFrame({"area": area, "kind": kind, "price": area * 1000 + generator.normal(0, 5000, 120)})
    frame.attrs["origin"] = "https://reader:secret@example.org/houses.csv"
    return frame


def broken() -> None:
    raise RuntimeError("this model cannot be made")


class Board:
    """The plugins, with a small table and a model that fails among them; and ways to train with them."""

    def __init__(self) -> None:
        self.manager: Manager = load_plugins(environ={"PEGBOARD_LOAD_PLUGINS": "mlflow,sklearn"})
        self.manager.add(_Extra, Plugin("extra", "extra", "1.0"))

    def train(self, registry: Path, name: str = "houses", **settings: Any) -> RunRecord:
        """Train, whether that fails or not, and return the run's record."""
        chosen: dict[str, Any] = {"models": ("linear-regression", "broken"), "folds": 3, **settings}
        experiment = Experiment(name=name, source="houses", registry=str(registry), **chosen)
        with suppress(PegboardError):
            pipeline.run(experiment, self.manager, Catalog(self.manager))
        return next(Runs(Registry(registry).store).list())


class _Extra:
    @staticmethod
    @hookimpl
    def register_sources() -> list[SourceSpec]:
        return [SourceSpec(name="houses", task="regression", target="price", load=houses)]

    @staticmethod
    @hookimpl
    def register_models() -> list[ModelSpec]:
        return [ModelSpec(name="broken", task="regression", make=broken)]


@pytest.fixture(scope="session")
def board() -> Board:
    return Board()


@pytest.fixture
def train(board: Board) -> Callable[..., RunRecord]:
    return board.train


@pytest.fixture
def tell(board: Board) -> Callable[..., None]:
    """Tell the plugins what ``pegboard runs sync`` tells them."""

    def notify(registry: Registry) -> None:
        for run in Runs(registry.store).list():
            board.manager.notify("after_run", run=run, registry=registry)
        for entry in registry.ledger.state().moved.values():
            board.manager.notify("after_promote", entry=entry, registry=registry)

    return notify


@pytest.fixture
def promote(board: Board) -> Callable[..., None]:
    """Promote as ``pegboard models promote`` does, the gate's findings being given."""

    def move(registry: Registry, reference: str, alias: str, gate: Mapping[str, Any] | None = None) -> None:
        entry = registry.promote(reference, alias, environment=alias, gate=gate)
        board.manager.notify("after_promote", entry=entry, registry=registry)

    return move


@pytest.fixture(scope="session")
def failing() -> Callable[..., AbstractContextManager[Any]]:
    """Put a proxy before a server that fails at a request; with its end nobody answers at its address."""
    return _failing


class FailingProxy(ThreadingHTTPServer):
    """Carries requests to a server until the ``last`` one, which is done and not answered; later ones are cut off.

    Before the last one is carried, ``then`` is called.
    """

    daemon_threads = True

    def __init__(self, target: str, last: int, then: Callable[[], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Carrier)
        self.target, self.last, self.then, self.count = target, last, then, 0
        self.uri = f"http://127.0.0.1:{self.server_port}"


class _Carrier(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FailingProxy

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.count += 1
        if self.server.count >= self.server.last:
            self.close_connection = True
            if self.server.count > self.server.last:
                return
            self.server.then()
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "content-length")}
        try:
            answer = requests.request(
                self.command, self.server.target + self.path, data=body, headers=headers, timeout=60
            )
        except requests.ConnectionError:
            return
        if self.server.count < self.server.last:
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.end_headers()
            self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = _carry

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _failing(target: str, last: int = 1_000_000, then: Callable[[], None] = lambda: None) -> Iterator[FailingProxy]:
    with FailingProxy(target, last, then) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.last = 0  # connections that are open still
        proxy.shutdown()
