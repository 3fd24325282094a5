"""Each limit of ``pegboard serve``, with the setting that moves it; and a log that nobody reads."""

from __future__ import annotations

import json
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

LIMITS = ("--max-body", 2048, "--max-rows", 4, "--max-depth", 3, "--max-connections", 2, "--trusted-host", "pegboard")
HEALTH = ("/health", "/ready", "/ping", "/v2/health/live", "/v2/health/ready")


@pytest.fixture(scope="module")
def limited_server(serve: Serve, registry: Path) -> Any:
    return serve("house-prices", "--registry", registry, *LIMITS)


@pytest.fixture
def limited(limited_server: Any) -> Iterator[Any]:
    yield limited_server
    limited_server.hang_up()


@pytest.fixture
def row(house_with: House) -> bytes:
    return json.dumps(house_with()).encode()


def is_problem(response: Any, status: int, reason: str) -> bool:
    assert response.status == status, response
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert reason in problem["detail"]
    return True


def has_bytes(wire: Any) -> bool:
    return bool(select.select([wire.socket], [], [], 0)[0])


def test_a_body_may_have_as_many_bytes_as_max_body_and_no_more(limited: Any, row: bytes) -> None:
    assert limited.ask("POST", "/predict", row.ljust(2048)).status == 200
    assert is_problem(limited.ask("POST", "/predict", row.ljust(2049)), 413, "more than 2048 bytes")


def test_a_body_in_chunks_ends_at_max_body_too(limited: Any, row: bytes) -> None:
    headers = b"Host: pegboard\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    head = b"POST /predict HTTP/1.1\r\n%b\r\n\r\n" % headers
    wire = limited.wire().send(head + b"%x\r\n%b\r\n" % (len(row), row) + b"400\r\n" + b" " * 1024 + b"\r\n0\r\n\r\n")
    assert wire.response().status == 200
    wire.send(head + b"%x\r\n%b\r\n" % (len(row), row) + b"800\r\n" + b" " * 2048 + b"\r\n0\r\n\r\n")
    assert is_problem(wire.response(), 413, "more than 2048 bytes")
    assert wire.ended()


def test_who_sends_a_large_body_to_its_end_still_reads_why_it_was_refused(limited: Any) -> None:
    """A server that closes at once resets the connection, and the answer is gone."""
    for _ in range(5):
        wire = limited.wire()
        assert is_problem(wire.ask("POST", "/predict", b" " * 8_000_000), 413, "more than 2048 bytes")
        assert wire.ended()
        wire.close()


def test_a_request_may_have_as_many_rows_as_max_rows_and_no_more(limited: Any, row: bytes) -> None:
    rows = [b"[" + b",".join([row] * count) + b"]" for count in (4, 5)]
    assert len(limited.ask("POST", "/predict", rows[0]).json()["predictions"]) == 4
    assert is_problem(limited.ask("POST", "/predict", rows[1]), 413, "5 rows are more than the 4 allowed")


def test_a_body_may_be_as_deep_as_max_depth_and_no_deeper(limited: Any, row: bytes) -> None:
    deep = [b"[" + row.replace(b"9627", b"[" * more + b"]" * more) + b"]" for more in (1, 2)]
    assert is_problem(limited.ask("POST", "/predict", deep[0]), 422, "1 problem")
    assert is_problem(limited.ask("POST", "/predict", deep[1]), 400, "nested deeper than 3 levels")


def test_only_trusted_hosts_are_answered(limited: Any, row: bytes) -> None:
    assert limited.ask("POST", "/predict", row, Host="pegboard:5000").status == 200
    for path in ("/predict", "/health", "/model"):
        method = "POST" if path == "/predict" else "GET"
        assert is_problem(limited.ask(method, path, row, Host="elsewhere"), 400, "host")
    assert is_problem(limited.wire().send(b"GET /health HTTP/1.0\r\n\r\n").response(), 400, "host")


def test_more_connections_than_max_connections_wait_and_are_then_served(limited: Any, row: bytes) -> None:
    first, second = limited.wire(), limited.wire()
    for wire in (first, second):
        assert wire.ask("POST", "/predict", row).status == 200
    third = limited.wire().request("POST", "/predict", row)
    for _ in range(10):
        assert first.ask("POST", "/predict", row).status == 200
    assert not has_bytes(third)
    second.close()
    assert third.response().status == 200


def test_a_quiet_connection_and_half_a_request_end_at_the_channel_timeout(serve: Serve, registry: Path) -> None:
    served = serve("iris", "--registry", registry, "--channel-timeout", 5)
    quiet, half = served.wire(), served.wire().send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    assert quiet.ask("GET", "/health").status == 200
    assert (quiet.ended(), half.ended()) == (True, True)
    assert served.ask("GET", "/health").status == 200


def test_a_full_queue_refuses_the_next_and_health_still_answers(serve: Serve, sleepy: dict[str, str]) -> None:
    served = serve("--threads", 1, "--max-queue", 1, "--drain-timeout", 0, **sleepy)
    body = b'{"seconds": 3600}'
    waiting: list[Any] = []
    refused: list[Any] = []
    while len(waiting) < 2 or len(refused) < 3:  # the first waits in the queue until the thread has taken it
        wire = served.wire().request("POST", "/predict", body)
        assert [served.ask("GET", path).status for path in HEALTH] == [200] * 5
        (refused if has_bytes(wire) else waiting).append(wire)
    assert len(waiting) == 2
    for wire in refused:
        answer = wire.response()
        assert is_problem(answer, 503, "too many requests wait")
        assert answer.headers["retry-after"] == "1"
        assert wire.ended()
    assert served.end() == 0


def test_a_log_that_nobody_reads_stops_nothing(serve: Serve, registry: Path, load: Any, house_with: House) -> None:
    served = serve("house-prices", "--registry", registry, read=False)
    seen = json.loads(load(served, house_with(), "--clients", 4, "--requests", 5000).stdout.readline())
    assert (seen["statuses"], seen["lost"]) == ({"200": 5000}, [])


@pytest.mark.parametrize(("method", "path"), [("M" * 10_000, "/"), ("GET", "/" + "%01" * 2000)], ids=["method", "path"])
def test_a_log_that_nobody_reads_stops_nothing_whatever_its_lines_hold(
    serve: Serve, registry: Path, method: str, path: str
) -> None:
    """A pipe takes up to 4,096 bytes or says that it is full; of a longer line it would wait to take the rest."""
    served = serve("iris", "--registry", registry, read=False)
    wire = served.wire()
    assert {wire.ask(method, path).status for _ in range(40)} <= {404, 405}


def test_each_line_of_the_log_is_json_with_the_request_id(serve: Serve, registry: Path, row: bytes) -> None:
    served = serve("house-prices", "--registry", registry)
    answers = [
        served.ask("POST", "/predict", row, X_Request_ID="from-the-client"),
        served.ask("POST", "/predict", b"{}", X_Request_ID="a-refused-one"),
        served.ask("GET", "/caf%C3%A9%00%22", X_Request_ID='not "one'),
        served.ask("GET", "/health"),
    ]
    assert served.end() == 0
    lines = [json.loads(line) for line in served.logged]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[:2] == ["from-the-client", "a-refused-one"]
    assert [line["request_id"] for line in lines] == ids
    assert len(set(ids)) == 4
    assert [(line["method"], line["status"], line["rows"]) for line in lines] == [
        ("POST", 200, 1), ("POST", 422, 0), ("GET", 404, 0), ("GET", 200, 0),
    ]  # fmt: skip
    assert [line["bytes"] for line in lines] == [len(answer.body) for answer in answers]
    assert {line["model"] for line in lines} == {"house-prices/1"}
