"""The image's health check: it says what ``/ready`` says, and costs next to nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard_serve import health
from pegboard_serve.command import serve as serve_command
from pegboard_serve.settings import PORT

CHECK = [sys.executable, "-m", "pegboard_serve.health"]


def check(port: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    environment |= {"PEGBOARD_SERVE_PORT": str(port)}
    return subprocess.run(CHECK, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)


def is_well(port: int, **environment: str) -> bool:
    """Whether it is told so, without a word; it may not be the first time, for it has two seconds to answer."""
    done = check(port, **environment)
    return (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def server(serve: Callable[..., Any], registry: Path) -> Any:
    return serve("house-prices", "--registry", registry)


def test_a_server_is_healthy_while_it_is_ready(server: Any) -> None:
    port = server.address[1]
    server.until(lambda: is_well(port))
    wire = server.wire()
    wire.send(b"POST /predict HTTP/1.1\r\nHost: pegboard\r\nContent-Length: 2\r\n\r\n")  # it waits for the rest
    server.until(lambda: bool(server.ask("GET", "/metrics").status))
    server.send(signal.SIGTERM)
    server.until(lambda: check(port).returncode == 1)
    wire.send(b"[]")
    assert server.wait() == 0


@pytest.mark.parametrize("variable", ["PEGBOARD_SERVE_TRUSTED_HOST", "PEGBOARD_SERVE_TRUSTED_HOSTS"])
def test_it_asks_by_a_name_that_the_server_answers(serve: Callable[..., Any], registry: Path, variable: str) -> None:
    named = {variable: ".prices.example other"}
    server = serve("house-prices", "--registry", registry, **named)
    port = server.address[1]
    assert server.ask("GET", "/ready", Host="stranger").status == 400, "the variable reaches the server"
    server.until(lambda: is_well(port, **named))
    refused = check(port)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"http://127.0.0.1:{port}/ready: status 400: ")
    assert refused.stderr.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = check(free.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.endswith("Connection refused\n")
    assert done.stderr.count("\n") == 1


def test_a_server_that_says_nothing_is_given_two_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        said = health.problem({"PEGBOARD_SERVE_PORT": str(silent.getsockname()[1])})
        taken = time.monotonic() - start
    assert said is not None
    assert said.endswith("timed out")
    assert 2 <= taken < 20


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "\u0665"])
def test_a_port_that_cannot_be_asked_is_refused(port: str) -> None:
    assert health.problem({"PEGBOARD_SERVE_PORT": port}) == (
        f"PEGBOARD_SERVE_PORT is {port!r}: set it to the port that is asked, 1 to 65535"
    )


@pytest.mark.parametrize("environ", [{}, {"PEGBOARD_SERVE_PORT": ""}])
def test_without_a_port_it_asks_at_the_servers_own(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    (default,) = {parameter.default for parameter in serve_command.params if parameter.name == "port"}
    assert default == PORT
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the default may be taken on this machine
        monkeypatch.setattr(health, "PORT", silent.getsockname()[1])
        monkeypatch.setattr(health, "PATIENCE", 0.1)
        assert str(health.problem(environ)).startswith(f"http://127.0.0.1:{silent.getsockname()[1]}/ready: ")


def test_it_imports_the_standard_library_and_two_modules_of_ours() -> None:
    code = "import sys; before = set(sys.modules); import pegboard_serve.health; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    ours = {"pegboard_serve", "pegboard_serve.health", "pegboard_serve.settings"}
    assert {name.partition(".")[0] for name in set(done.stdout.split()) - ours} <= sys.stdlib_module_names
    assert ours <= set(done.stdout.split())
