"""What ``pegboard serve`` does when it is told to end: it answers what has come, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

AS_PID_1 = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")
MIB = 2**20

PLAIN = """
import waitress
from pegboard_serve.app import create_app
from pegboard_serve.listen import listen, urls
from pegboard_serve.settings import Settings
import sys
sockets = listen("127.0.0.1", 0)
print("serving on", *urls(sockets), flush=True)
waitress.serve(create_app(Settings(model="sleeper", registry=sys.argv[1])), sockets=sockets)
"""


def head(length: int) -> bytes:
    headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {length}"
    return f"POST /predict HTTP/1.1\r\n{headers}\r\n\r\n".encode()


def sleep(seconds: float) -> bytes:
    body = json.dumps({"seconds": seconds}).encode()
    return head(len(body)) + body


def in_flight(served: Any, *requests: bytes) -> list[Any]:
    """Send each on its own connection, and return when the server has read what was sent."""
    wires = [served.wire().send(request) for request in requests]
    assert served.ask("GET", "/health").status == 200
    return wires


def wait_until_refused(address: tuple[str, int]) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        try:
            socket.create_connection(address, 120).close()
        except ConnectionRefusedError:
            return
    pytest.fail("it still accepts")


def can_be_pid_1() -> bool:
    found = shutil.which("unshare")
    return bool(found) and subprocess.run([*AS_PID_1, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("pid_1", "longest"), [(False, 7.0), (True, 3.0)], ids=["plain", "as PID 1"])
def test_eight_requests_in_flight_are_answered_before_the_end(
    serve: Serve, sleepy: dict[str, str], pid_1: bool, longest: float
) -> None:
    if pid_1 and not can_be_pid_1():
        pytest.skip("no PID namespace can be made here: it takes util-linux' unshare, and to be root")
    served = serve(before=AS_PID_1 if pid_1 else (), **sleepy)
    slow = json.dumps({"seconds": 0.25}).encode().ljust(4 * MIB)
    idle = served.wire()
    assert idle.ask("GET", "/ready").json()["status"] == "ready"
    sleepers = in_flight(served, *[sleep(longest)] * 4, *[sleep(0.5)] * 3)  # these wait for one of the four threads
    slow_reader, prober = in_flight(served, head(len(slow)) + slow[:MIB], b"GET /ready HTTP/1.1\r\n")

    if pid_1:
        (child,) = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
    else:
        served.send()
    wait_until_refused(served.address)
    assert idle.ended()
    ready = prober.send(b"\r\n").response()
    answers = [wire.response() for wire in sleepers]
    for start in range(MIB, 4 * MIB, MIB // 4):
        slow_reader.send(slow[start : start + MIB // 4])
    answers.append(slow_reader.response())

    assert [answer.json()["predictions"] for answer in answers] == [*[[longest]] * 4, *[[0.5]] * 3, [0.25]]
    assert (ready.status, ready.json()["status"]) == (503, "draining")
    assert [answer.headers["connection"] for answer in [*answers, ready]] == ["close"] * 9
    assert all(wire.ended() for wire in [*sleepers, slow_reader, prober])
    assert served.wait() == 0
    assert served.complaints == []


def test_without_the_handler_requests_in_flight_are_lost(sleepy: dict[str, str], serve: Serve) -> None:
    """The control: bare waitress, which SIGTERM ends at once."""
    command = (sys.executable, "-c", PLAIN, sleepy["PEGBOARD_REGISTRY"])
    served = serve(command=command, **sleepy)
    wires = in_flight(served, *[sleep(3600)] * 3)  # of its four threads one answers health
    assert served.end() == -signal.SIGTERM
    assert [wire.ended() for wire in wires] == [True] * 3


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_sigterm_leaves_at_once(serve: Serve, sleepy: dict[str, str], processes: int) -> None:
    served = serve("--drain-timeout", 3600, "--processes", processes, **sleepy)
    (wire,) = in_flight(served, sleep(3600))
    served.send()
    wait_until_refused(served.address)
    assert served.end() == 0
    assert wire.ended()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_request_that_never_finishes_is_left_when_the_drain_timeout_is_over(
    serve: Serve, sleepy: dict[str, str], processes: int
) -> None:
    served = serve("--drain-timeout", 2, "--processes", processes, **sleepy)
    (wire,) = in_flight(served, sleep(3600))
    assert served.end() == 0
    assert wire.ended()
    assert "WARNING: 1 connection was still open at the end" in served.errors


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("keep", [(), ("--fresh",)], ids=["keep-alive", "fresh"])
def test_sigterm_under_load_loses_nothing(
    serve: Serve, load: Any, registry: Path, house_with: House, processes: int, keep: tuple[str, ...]
) -> None:
    served = serve("house-prices", "--registry", registry, "--processes", processes)
    clients = load(served, house_with(), "--clients", 16, *keep)
    served.send()
    seen = json.loads(clients.stdout.readline())
    assert seen["lost"] == []
    assert seen["statuses"] == {"200": seen["answered"]}
    assert seen["answered"] >= 16
    assert served.wait() == 0
    assert served.complaints == []
    assert len([line for line in served.logged if '"path":"/predict"' in line]) == seen["answered"]


def test_connections_that_wait_are_accepted_when_no_more_may_begin() -> None:
    from pegboard_serve.listen import admit_no_more, listen

    (listening,) = listen("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname()), socket.socket() as late:
        listening.setblocking(False)
        admit_no_more(listening)
        late.setblocking(False)
        late.connect_ex(listening.getsockname())
        listening.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listening.accept()
