"""Bytes that no well-meaning client sends, and the order of what well-meaning ones send at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(scope="module")
def served(serve: Serve, registry: Path) -> Any:
    return serve("house-prices", "--registry", registry)


@pytest.fixture
def row(house_with: House) -> bytes:
    return json.dumps(house_with()).encode()


REFUSED = {
    "a length and chunks": (400, POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks and a length": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    "two lengths that differ": (400, POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "chunks before HTTP/1.1": (400, b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "another transfer encoding": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "a length with a sign": (400, POST + b"Content-Length: +2\r\n\r\n{}"),
    "a length below 0": (400, POST + b"Content-Length: -2\r\n\r\n{}"),
    "a length of 5,000 digits": (400, POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
    "a length of 1e15": (413, POST + b"Content-Length: 1000000000000000\r\n\r\n{}"),
    "a chunk whose size is none": (400, CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than its size": (400, CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"),
    "a chunk's size that does not end": (400, CHUNKED + b"1" * 100_000),
    "a trailer that does not end": (400, CHUNKED + b"0\r\n" + b"x" * 100_000),
    "headers of 300,000 bytes": (431, POST + b"X-Long: " + b"x" * 300_000 + b"\r\n\r\n"),
    "a header without a name": (400, POST + b": x\r\n\r\n"),
    "a line feed alone in a header": (400, POST + b"X-A: b\nX-C: d\r\n\r\n"),
    "a first line that is none": (400, b"\x16\x03\x01\x02\x00\r\n\r\n"),
    "a method in small letters": (400, b"get /health HTTP/1.1\r\nHost: x\r\n\r\n"),
    "half an IPv6 address": (400, b"GET http://[::1/health HTTP/1.1\r\nHost: x\r\n\r\n"),
}


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["", "expecting"])
@pytest.mark.parametrize(("status", "sent"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason_and_the_connection_ends(
    served: Any, status: int, sent: bytes, more: bytes
) -> None:
    first, line, rest = sent.partition(b"\r\n")
    wire = served.wire().send(first + line + (more + rest if b"HTTP/1.1" in first else rest))
    response = wire.response()
    if response.status == 100:  # its headers were in order, so it was asked for a body
        response = wire.response()
    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    assert response.json()["status"] == status
    assert response.json()["detail"]
    assert response.headers["x-model-version"].startswith("house-prices/1; sha256=")
    assert response.headers["x-request-id"]
    assert response.headers["connection"] == "close"
    assert wire.ended()
    assert served.ask("GET", "/health").status == 200
    assert served.complaints == []


def test_two_short_requests_sent_at_once_are_answered_in_order(served: Any, house_with: House) -> None:
    bodies = [json.dumps(house_with(LotArea=area)).encode() for area in (5_000, 50_000)]
    apart = [served.ask("POST", "/predict", body).body for body in bodies]
    wire = served.wire().send(b"".join(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies))
    assert [wire.response().body for _ in bodies] == apart
    assert apart[0] != apart[1]


def test_three_hundred_requests_sent_at_once_are_answered_in_order(served: Any, house_with: House) -> None:
    """Short ones, which the loop answers, between long ones, which threads do."""
    rows = [[house_with(LotArea=1_000 + number)] * (40 if number % 3 else 1) for number in range(300)]
    bodies = [json.dumps(of_one).encode() for of_one in rows]
    apart = [served.ask("POST", "/predict", body).json()["predictions"] for body in bodies[:6]]
    wire = served.wire()
    for body in bodies:
        wire.send(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    answers = [wire.response().json()["predictions"] for _ in bodies]
    assert answers[:6] == apart
    assert [len(answer) for answer in answers] == [len(of_one) for of_one in rows]
    assert all(round(after[0] - before[0], 6) == round(answers[3][0] - answers[0][0], 6)
               for before, after in zip(answers, answers[3:], strict=False))  # fmt: skip


def test_a_short_request_behind_a_long_one_waits_for_it(serve: Serve, sleepy: dict[str, str]) -> None:
    served = serve(**sleepy)
    body = b'{"seconds": 0.5}'
    long = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    wire = served.wire().send(long + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.response().json()["predictions"] == [0.5]
    assert wire.response().json()["status"] == "ok"


def test_who_expects_100_continue_is_asked_for_the_body_once(served: Any, row: bytes) -> None:
    wire = served.wire()
    for _ in range(2):
        wire.send(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(row))
        assert wire.file.read(len(CONTINUE)) == CONTINUE
        assert wire.send(row).response().status == 200


def test_who_expects_100_continue_and_has_no_body_or_too_much_is_answered_at_once(served: Any) -> None:
    wire = served.wire().send(b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
    assert wire.response().status == 200
    wire.send(POST + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
    assert wire.response().status == 413


def test_an_answer_is_whole_for_a_client_that_has_said_all(served: Any, row: bytes) -> None:
    """Half-closed, as ``nc -N`` leaves a connection."""
    wire = served.wire().request("POST", "/predict", row)
    wire.socket.shutdown(1)
    assert wire.response().status == 200
    assert wire.ended()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_close_is_kept_to(served: Any, row: bytes, version: str) -> None:
    head = f"POST /predict HTTP/{version}\r\nContent-Type: application/json\r\nContent-Length: {len(row)}\r\n"
    wire = served.wire().send(f"{head}Connection: close\r\n\r\n".encode() + row)
    response = wire.response()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert wire.ended()
