"""Two processes on one port, and the one that looks after them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard.registry import Registry

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(serve: Serve, registry: Path) -> Any:
    return serve("house-prices", "--registry", registry, "--processes", 2)


def asked(served: Any, house: dict[str, Any], times: int) -> list[int]:
    body = json.dumps(house).encode()
    return [served.ask("POST", "/predict", body).status for _ in range(times)]


def sockets(pid: int) -> int:
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(link.startswith("socket:") for link in links)


def gone(pid: int) -> bool:
    """A process that has ended may wait for somebody to take its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def replaced(served: Any, before: list[int]) -> Callable[[], bool]:
    return lambda: served.metric("pegboard_serving") == 2 and len(set(served.workers()) - set(before)) == 1


def test_metrics_cover_both_processes_and_one_that_was_killed(pair: Any, house_with: House) -> None:
    assert asked(pair, house_with(), 40) == [200] * 40
    assert pair.metric("pegboard_request_total", route="/predict", status="200") == 40
    assert pair.metric("pegboard_serving", model="house-prices", version="1") == 2
    before = pair.workers()
    os.kill(before[0], signal.SIGKILL)
    pair.until(replaced(pair, before))
    assert asked(pair, house_with(), 40) == [200] * 40
    assert pair.metric("pegboard_request_total", route="/predict", status="200") == 80
    assert pair.metric("pegboard_rows_total") == 80
    assert pair.metric("pegboard_request_in_progress") == 0


def shares(pair: Any) -> list[int]:
    wires = [pair.wire() for _ in range(24)]
    for wire in wires:
        wire.request("GET", "/health")
    # A request's id begins with what is its process's own.
    processes = Counter(wire.response().headers["x-request-id"].partition("-")[0] for wire in wires)
    pair.hang_up()
    return sorted(processes.values())


def test_connections_that_come_at_once_are_shared_out(pair: Any) -> None:
    # Each is left to the other for 2 ms: a process that stands still for longer comes too late, but hardly three times.
    seen = []
    while not seen or seen[-1][0] < 8 or len(seen[-1]) < 2:
        assert len(seen) < 3, seen
        seen.append(shares(pair))


def test_a_killed_worker_costs_its_own_connections_and_no_other(pair: Any, house_with: House) -> None:
    body = json.dumps(house_with()).encode()
    before = {pid: sockets(pid) for pid in pair.workers()}
    wires = []
    while not all(sockets(pid) > before[pid] for pid in before):
        wires.append(pair.wire())
        assert wires[-1].ask("POST", "/predict", body).status == 200
    victim, other = before
    held = sockets(victim) - before[victim]
    os.kill(victim, signal.SIGKILL)
    pair.until(lambda: gone(victim))
    lost = 0
    for wire in wires:
        try:
            assert wire.ask("POST", "/predict", body).status == 200
        except ConnectionError:
            lost += 1
    assert (lost, len(wires) - lost) == (held, sockets(other) - before[other])
    pair.until(replaced(pair, list(before)))
    assert other in pair.workers()
    assert "ended with -9" in pair.errors


def test_a_worker_that_is_told_to_end_under_load_loses_nothing_and_is_replaced(
    pair: Any, load: Any, house_with: House
) -> None:
    clients = load(pair, house_with(), "--clients", 16)
    before = pair.workers()
    os.kill(before[0], signal.SIGTERM)
    pair.until(replaced(pair, before))
    seen = json.loads(clients.communicate()[0])
    assert seen["lost"] == []
    assert seen["statuses"] == {"200": seen["answered"]}
    assert before[1] in pair.workers()
    assert pair.metric("pegboard_request_total", route="/predict") == seen["answered"]
    assert pair.end() == 0


def test_workers_end_with_a_supervisor_that_was_killed_and_answer_what_has_come(
    serve: Serve, sleepy: dict[str, str]
) -> None:
    served = serve("--processes", 2, **sleepy)
    body = b'{"seconds": 5}'
    workers = served.workers()
    wire = served.wire().request("POST", "/predict", body)
    served.until(lambda: served.metric("pegboard_request_in_progress") == 1)
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    assert wire.response().json()["predictions"] == [5.0]
    give_up = time.monotonic() + 60
    while not all(map(gone, workers)) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert list(map(gone, workers)) == [True, True]


def test_a_bundle_that_cannot_be_loaded_ends_the_command_with_the_error(
    serve: Serve, registry: Path, tmp_path: Path
) -> None:
    location = shutil.copytree(registry, tmp_path / "registry")
    found = Registry(location)
    (found.open(found.resolve("iris")).directory / "pipeline.joblib").write_bytes(b"damaged")
    served = serve("iris", "--registry", location, "--processes", 2)
    assert (served.wait(), served.line, served.logged) == (1, "", [])
    errors = [line for line in served.errors.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "pipeline.joblib is not what the manifest says" in errors[0]
    assert "Traceback" not in served.errors


@pytest.mark.parametrize("how", ["SIGHUP", "POST"])
def test_a_reload_reaches_all_processes(
    serve: Serve, two_models: Path, tmp_path: Path, house_with: House, how: str
) -> None:
    location = shutil.copytree(two_models, tmp_path / "registry")
    tokens = tmp_path / "tokens"
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # sha256 of "secret"
    tokens.write_text(f"operator {digest} admin\n")
    served = serve("house-prices@live", "--registry", location, "--processes", 2, "--tokens", tokens)
    assert served.metric("pegboard_serving", version="1") == 2
    Registry(location).promote("house-prices/2", "live")
    if how == "SIGHUP":
        served.send(signal.SIGHUP)
    else:
        assert served.ask("POST", "/admin/reload", Authorization="Bearer secret").status == 202
    served.until(lambda: served.metric("pegboard_serving", version="2") == 2)
    assert served.metric("pegboard_serving", version="1") == 0
    assert served.metric("pegboard_reload_total", outcome="swapped") == 2
    body = json.dumps(house_with()).encode()
    answers = [served.ask("POST", "/predict", body, Authorization="Bearer secret") for _ in range(16)]
    assert {answer.headers["x-model-version"].partition(";")[0] for answer in answers} == {"house-prices/2"}


def test_sighup_waits_for_a_worker_that_is_starting(pair: Any) -> None:
    before = pair.workers()
    os.kill(before[0], signal.SIGKILL)
    pair.until(lambda: len(set(pair.workers()) - set(before)) == 1)
    (starting,) = set(pair.workers()) - set(before)
    pair.send(signal.SIGHUP)
    pair.until(replaced(pair, before))
    pair.until(lambda: pair.metric("pegboard_reload_total", outcome="unchanged") == 2)
    assert set(pair.workers()) == {before[1], starting}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_workers_are_starting_ends_it_all_quietly(
    registry: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [Path(sys.executable).with_name("pegboard"), "serve", "iris", "--processes", "2", "--port", "0"]
    with subprocess.Popen(
        [*command, "--registry", registry], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(children.read_text().split()) < 3:  # two workers, and multiprocessing's tracker
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")
    assert "Traceback" not in errors
