"""What every test may ask for: the board with the real plugins, and ways to make small experiments."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_iris

from pegboard import SourceSpec, hookimpl
from pegboard import bundle as bundles
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.manager import Manager, Plugin, load_plugins
from pegboard.signature import Feature, Signature
from pegboard.stores import aws

# Machines are noisy, and a first example imports scikit-learn: time is not what these tests are about.
# CI tries the same examples each time; new ones are found where somebody is at hand to look at them.
settings.register_profile(
    "pegboard", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("pegboard")

# A shell that starts something in the background has it ignore Ctrl-C, and so would everything that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests' own estimators are in no plugin distribution, which is where a pipeline's classes may come from.
os.environ["PEGBOARD_UNPICKLE"] = "tests.*"
# Every plugin of the repository is installed, and would compete; these are the ones that `make run` has.
os.environ["PEGBOARD_LOAD_PLUGINS"] = "house-prices,serve,sklearn"


@pytest.fixture(scope="session")
def manager() -> Manager:
    return load_plugins()


@pytest.fixture(scope="session")
def catalog(manager: Manager) -> Catalog:
    return Catalog(manager)


@pytest.fixture
def board_with() -> Callable[..., tuple[Manager, Catalog]]:
    """Build a fresh board: the installed plugins, and a plugin whose hooks return what is given here."""

    def build(name: str = "extra", **registered: Any) -> tuple[Manager, Catalog]:
        manager = load_plugins()
        manager.add(plugin_module(**registered), Plugin(name, f"pegboard-{name}", "1.0"))
        return manager, Catalog(manager)

    return build


@pytest.fixture
def frame_source() -> Callable[..., SourceSpec]:
    """Make a source of a table that is at hand."""

    def make(frame: pd.DataFrame, target: str, task: str = "regression", **more: Any) -> SourceSpec:
        return SourceSpec(name="table", task=task, target=target, load=lambda: frame, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def train_into() -> Callable[..., None]:
    """Train experiments with the models given for each source, iris among them; they are named as their sources are."""

    def train(location: Path, chosen: Mapping[str, Sequence[str]], *sources: SourceSpec, name: str = "") -> None:
        from pegboard.training import pipeline

        iris = SourceSpec(name="iris", task="classification", target="species", load=load_flowers)
        manager = load_plugins()
        manager.add(plugin_module(register_sources=[iris, *sources]), Plugin("sources", "sources", "1"))
        for source, models in chosen.items():
            experiment = Experiment(name=name or source, source=source, models=tuple(models), registry=str(location))
            pipeline.run(experiment, manager, Catalog(manager))

    return train


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


@pytest.fixture(scope="session")
def write_bundle() -> Callable[..., Path]:
    """Write a whole bundle whose pipeline is no pickle, for what never looks inside; each mark has its own digest."""

    def write(directory: Path, mark: object = 1, **manifest: Any) -> Path:
        plain: dict[str, Any] = {
            "name": "house",
            "model": "linear",
            "signature": Signature("regression", (Feature("area", "number"),), "price").to_dict(),
            "leaderboard": Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0))]).to_dict(),
            "python": "3",
            "plugins": [],
            "libraries": {},
            "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
            "metrics": {},
            "data": {},
        }
        files = {bundles.PIPELINE: b"never unpickled here", bundles.REPLAY: b"{}"}
        return bundles.write(directory / f"bundle-{mark}", {**plain, "mark": mark, **manifest}, files).directory

    return write


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[str]]:
    """Run ``pegboard serve`` with these arguments, and give its address."""
    return _serving


@contextmanager
def _serving(registry: Path, directory: Path, *arguments: str) -> Iterator[str]:
    pegboard = str(Path(sys.executable).with_name("pegboard"))
    command = [pegboard, "serve", "--registry", str(registry), "--port", "0", "--no-access-log", *arguments]
    with (
        (directory / "errors").open("w") as errors,
        subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"on (http://\S+)", said)
            assert found, f"{said!r}: {(directory / 'errors').read_text()}"
            yield found[1]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server that speaks S3, and give its URL."""
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, str(Path(__file__).with_name("s3.py"))]
    with log.open("w") as errors, subprocess.Popen(command, stdout=errors, stderr=errors) as process:
        try:
            yield _announced(log, process)
        finally:
            process.terminate()


def _announced(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(3000):
        if found := re.search(r"Running on (http://\S+)", log.read_text()):
            return found[1]
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    pytest.fail(f"the server did not start: {log.read_text()}")


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket of the test's own and set AWS's settings; give a location in it."""
    import boto3

    settings = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PEGBOARD_CACHE": str(tmp_path / "cache"),
    }
    for setting, value in settings.items():
        monkeypatch.setenv(setting, value)
    for setting in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(setting, raising=False)
    name = f"test-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/registry"


class Gateway:
    """Passes bytes between clients and a server, counts what the server sends, and can cut it off."""

    def __init__(self, server: str) -> None:
        self._server = (urlsplit(server).hostname, urlsplit(server).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        #: How many bytes the server may still send; then connections are closed, those that come later as well.
        self.allowance = sys.maxsize
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if counted:
                    data = data[: self.allowance]
                    self.allowance -= len(data)
                    self.sent += len(data)
                target.sendall(data)
                if self.allowance == 0:
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gateway(s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    gateway = Gateway(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    yield gateway
    gateway.close()


def plugin_module(**hooks: Any) -> SimpleNamespace:
    """Return a module-like plugin; a hook given as a list returns it, one given as a function is it."""
    return SimpleNamespace(**{hook: hookimpl(specname=hook)(_function(given)) for hook, given in hooks.items()})


def _function(given: Any) -> Callable[..., Any]:
    return given if callable(given) else lambda: given
