"""The URL branch, against servers that answer in every bad way."""

from __future__ import annotations

import contextlib
import gzip
import re
import resource
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import DataError
from pegboard_house_prices import download, table
from pegboard_house_prices.plugin import load

OURS = ",".join(table.COLUMNS)
PUBLISHED = "Order,MS.SubClass,MS.Zoning,Lot.Area,Lot.Config,Bldg.Type,Overall.Cond,Year.Built,Year.Remod.Add,"
PUBLISHED += "Exterior.1st,BsmtFin.SF.2,Total.Bsmt.SF,price"
HOUSE = "1,20,RL,31770,Corner,1Fam,5,1960,1960,BrkFace,0.0,1080.0,215000"
TABLE = f"{OURS}\n{HOUSE}\n".encode()
CHUNKED = "Transfer-Encoding: chunked"


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def redirect(location: str) -> bytes:
    return answer(b"", f"Location: {location}", status="302 Found")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary.csv"
    path.write_bytes(TABLE)
    return path


def test_the_first_run_downloads_and_the_second_uses_the_local_file(serving: Any, home: Path) -> None:
    path = str(home / "ames.csv")
    with serving(answer(TABLE)) as server:
        first = load(path=path, url=server.url)
        second = load(path=path, url=server.url)
        assert len(server.requests) == 1
        assert "Accept-Encoding: identity\r\n" in server.requests[0]
    third = load(path=path, url=server.url)
    assert first.to_csv(index=False).encode() == TABLE
    assert all(first.equals(later) for later in (second, third))
    assert [t.attrs["origin"] for t in (first, second, third)] == [server.url, path, path]
    assert (home / "ames.csv").read_bytes() == TABLE
    assert [*home.iterdir()] == [home / "ames.csv"]


def test_the_published_headings_become_ours(serving: Any, home: Path) -> None:
    body = f"PID,{PUBLISHED},Sale.Condition\n526301100,{HOUSE},Normal\n".encode()
    with serving(answer(body)) as server:
        assert load(path=str(home / "ames.csv"), url=server.url).to_csv(index=False).encode() == TABLE
    assert load(path=str(home / "ames.csv")).to_csv(index=False).encode() == TABLE


def test_without_a_url_the_published_one_is_asked(serving: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(TABLE)) as server:
        monkeypatch.setattr(table, "URL", server.url)
        assert load(path=str(home / "ames.csv")).attrs["origin"] == server.url


def test_a_chunked_answer_is_put_together_in_a_new_directory(serving: Any, home: Path) -> None:
    with serving(head(CHUNKED) + chunk(TABLE[:100]) + chunk(TABLE[100:]) + b"0\r\n\r\n") as server:
        load(path=str(home / "a" / "b" / "ames.csv"), url=server.url)
    assert (home / "a" / "b" / "ames.csv").read_bytes() == TABLE


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_a_redirect_to_another_page_is_followed(serving: Any, home: Path, status: str) -> None:
    def reply(exchange: Any) -> None:
        moved = "GET /moved " in exchange.head
        exchange.send(answer(TABLE) if moved else answer(b"", "Location: /moved", status=status))

    with serving(reply) as server:
        assert len(load(path=str(home / "ames.csv"), url=server.url)) == 1
        assert len(server.requests) == 2


def test_a_url_may_name_its_scheme_in_capitals(serving: Any, home: Path) -> None:
    with serving(answer(TABLE)) as server:
        assert len(load(path=str(home / "ames.csv"), url=server.url.replace("http", "HTTP"))) == 1


@pytest.mark.parametrize("content", [TABLE, b"not a table\n", b""])
def test_an_existing_local_file_is_never_replaced(serving: Any, home: Path, content: bytes) -> None:
    path = home / "ames.csv"
    path.write_bytes(content)
    with serving(answer(TABLE + HOUSE.encode())) as server, contextlib.suppress(DataError):
        load(path=str(path), url=server.url)
    assert server.requests == []
    assert path.read_bytes() == content
    assert [*home.iterdir()] == [path]


def test_many_first_runs_at_once_all_get_the_table(serving: Any, home: Path) -> None:
    with serving(answer(TABLE)) as server, ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(load, path=str(home / "ames.csv"), url=server.url) for _ in range(8)]
        assert {run.result().to_csv(index=False).encode() for run in runs} == {TABLE}
    assert [*home.iterdir()] == [home / "ames.csv"]


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "304 Not Modified"])
def test_an_error_status_is_named_even_when_the_table_comes_with_it(serving: Any, refused: Any, status: str) -> None:
    with serving(answer(TABLE, status=status)) as server:
        assert f"the server answers {status}" in refused(server.url)


ENDLESS = {
    "no answer": (b"", b""),
    "status drips": (b"HTTP/1.1 200 O", b"K"),
    "headers drip": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body stalls": (answer(TABLE)[:-1], b""),
    "body drips": (head() + TABLE, b"1"),
    "chunk stalls": (head(CHUNKED) + chunk(TABLE)[:-20], b""),
    "chunk size drips": (head(CHUNKED) + chunk(TABLE), b"0"),
    "trailers drip": (head(CHUNKED) + chunk(TABLE) + b"0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_answer_that_never_ends_is_given_up_in_time(serving: Any, refused: Any, case: str) -> None:
    begin, rest = ENDLESS[case]
    before = {*threading.enumerate()}

    def reply(exchange: Any) -> None:
        exchange.send(begin)
        exchange.keep_sending(rest, every=0.02) if rest else exchange.stall()

    with serving(reply) as server:
        assert re.search("in time|timed out", refused(server.url, timeout=0.5))
    for thread in {*threading.enumerate()} - before:
        thread.join(10)
        assert not thread.is_alive()


def test_a_stall_ends_long_before_the_whole_time(serving: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    with serving(lambda exchange: (exchange.send(answer(TABLE)[:-9]), exchange.stall())) as server:
        assert "timed out" in refused(server.url, timeout=600)


@pytest.mark.parametrize(
    "case", [(head(), b"1" * 2**16), (head(CHUNKED), chunk(b"1" * 2**16))], ids=["plain", "chunked"]
)
def test_an_endless_body_stops_at_the_size_cap(serving: Any, refused: Any, monkeypatch: Any, case: Any) -> None:
    begin, data = case
    monkeypatch.setattr(download, "MOST_BYTES", 2**20)
    with serving(lambda exchange: (exchange.send(begin), exchange.keep_sending(data))) as server:
        assert "larger than 1 MiB" in refused(server.url, timeout=60)
    assert server.sent < 64 * 2**20


def test_the_endless_body_of_a_redirect_is_not_gathered(serving: Any, home: Path) -> None:
    def reply(exchange: Any) -> None:
        if "GET /moved " in exchange.head:
            exchange.send(answer(TABLE))
        else:
            exchange.send(head("Location: /moved", status="302 Found"))
            exchange.keep_sending(b"x" * 2**16)

    with serving(reply) as server, contextlib.suppress(DataError):
        load(path=str(home / "ames.csv"), url=server.url, timeout=10)
    assert server.sent < 64 * 2**20


BROKEN = {
    "ends before it begins": (b"", "without response"),
    "shorter than its length": (head(f"Content-Length: {2**14}") + TABLE, f"ends after {len(TABLE)} of {2**14} bytes"),
    "ends in a chunk": (head(CHUNKED) + b"%x\r\n" % (len(TABLE) + 1) + TABLE, "IncompleteRead"),
    "ends between chunks": (head(CHUNKED) + chunk(TABLE), "IncompleteRead"),
    "length in words": (head("Content-Length: many") + TABLE, "many"),
    "redirect to nowhere": (answer(TABLE, status="302 Found"), "302 Found"),
    "redirect to half a host": (redirect("http://[::1/"), "IPv6"),
    "another protocol": (b"220 welcome\r\n", "220 welcome"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_leaves_no_file(serving: Any, refused: Any, case: str) -> None:
    reply, reason = BROKEN[case]
    with serving(reply) as server:
        assert reason in refused(server.url)


def test_a_body_cut_anywhere_leaves_no_file(serving: Any, refused: Any) -> None:
    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, len(TABLE) - 1), st.booleans())
    def check(kept: int, chunked: bool) -> None:
        whole = head(CHUNKED) + chunk(TABLE) + b"0\r\n\r\n" if chunked else answer(TABLE)
        server.reply = lambda exchange: exchange.send(whole[: whole.index(b"\r\n\r\n") + 4 + kept])
        refused(server.url)

    with serving(b"") as server:
        check()


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "FILE://{}", "file:{}"])
def test_a_redirect_to_a_file_is_not_followed(serving: Any, refused: Any, canary: Path, form: str) -> None:
    with serving(redirect(form.format(canary))) as server:
        assert re.search("canary.csv.* is not allowed", refused(server.url))


def test_a_redirect_to_ftp_is_not_followed(serving: Any, refused: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ftp:
        with serving(redirect(f"ftp://127.0.0.1:{ftp.getsockname()[1]}/ames.csv")) as server:
            assert "unknown url type: ftp" in refused(server.url)
        ftp.setblocking(False)
        with pytest.raises(BlockingIOError):
            ftp.accept()


def test_a_redirect_loop_ends(serving: Any, refused: Any) -> None:
    with serving(redirect("/ames.csv")) as server:
        assert "infinite loop" in refused(server.url, timeout=60)
    assert len(server.requests) <= 12


@pytest.mark.parametrize(("lines", "reason"), [(["Content-Encoding: gzip"], "compressed (gzip)"), ([], "not a CSV")])
def test_a_gzip_bomb_is_not_unpacked(serving: Any, refused: Any, lines: list[str], reason: str) -> None:
    bomb = gzip.compress(TABLE) + gzip.compress(b"0" * 2**24) * 144  # 2.3 MB, and 2.4 GB within
    with serving(answer(bomb, *lines)) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert reason in refused(f"{server.url}.gz", timeout=60, name="ames.csv.gz")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 2**10


def test_a_port_where_nobody_listens_is_named(refused: Any) -> None:
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        assert "Connection refused" in refused(f"http://127.0.0.1:{idle.getsockname()[1]}/ames.csv")


def test_https_with_a_server_that_speaks_none_is_refused(serving: Any, refused: Any) -> None:
    with serving(answer(TABLE)) as server:
        assert "SSL" in refused(server.url.replace("http:", "https:"))


@pytest.mark.parametrize("form", ["file://{}", "{}", "ftp://127.0.0.1{}", "gopher://127.0.0.1{}", "httpx://{}"])
def test_a_scheme_other_than_http_is_refused(refused: Any, canary: Path, form: str) -> None:
    assert "neither http nor https" in refused(form.format(canary))


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://", "no host"), ("http://[::1/", "IPv6"), ("http://[::1]:x/", "port"), (f"http://{'a' * 64}.x/", "label")],
)
def test_a_malformed_url_is_an_error_of_the_data(refused: Any, url: str, reason: str) -> None:
    assert reason in refused(url)


STATUSES = ["200 OK", "200", "204 No Content", "302 Found", "308 P", "407 P", "999 X", "0", "x"]
HEADERS = ["Content-Length", "Transfer-Encoding", "Content-Encoding", "Location", "Content-Type", "\xff", ""]
VALUES = ["0", "-1", "1e3", "chunked", "gzip", "/", "http://[", "http://:0", "mailto:a", "", "a b", "\x00", "é"]
ANSWERS = st.builds(
    lambda status, lines, body: head(*map(": ".join, lines), status=status) + body,
    st.sampled_from(STATUSES),
    st.lists(st.tuples(st.sampled_from(HEADERS), st.sampled_from(VALUES)), max_size=4),
    st.sampled_from([TABLE, TABLE[:-30], chunk(TABLE) + b"0\r\n\r\n", b"-1\r\n", b""]),
)


def test_whatever_is_answered_gives_a_table_or_an_error_that_names_the_url(serving: Any) -> None:
    @settings(max_examples=80, deadline=None)
    @given(ANSWERS | st.binary(max_size=200))
    def check(reply: bytes) -> None:
        server.reply = lambda exchange: exchange.send(reply)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "ames.csv"
            try:
                frame, problem = load(path=str(path), url=server.url, timeout=5), ""
            except DataError as error:
                frame, problem = None, str(error)
            assert [*Path(scratch).iterdir()] == ([] if problem else [path])
        assert server.url in problem if frame is None else len(frame) == 1

    with serving(b"") as server:
        check()
