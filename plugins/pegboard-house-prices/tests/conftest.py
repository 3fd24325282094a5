"""A server on 127.0.0.1 that answers as badly as a test wants it to."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pegboard import DataError
from pegboard_house_prices.plugin import load

LONGEST_SECONDS = 10.0
#: An endless reply ends here, so that a client without bounds fails its test instead of hanging it.
PATIENCE_SECONDS = 12.0
MOST_BYTES = 128 * 2**20


class Server(socketserver.ThreadingTCPServer):
    """Remembers what it was asked, and how much it could send."""

    allow_reuse_address = True

    def __init__(self, reply: Callable[[Exchange], None]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.reply = reply
        self.requests: list[str] = []
        self.sent = 0
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/ames.csv"


class Exchange(socketserver.BaseRequestHandler):
    """One connection: the request, and the ways to answer it."""

    server: Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.head = self.request.recv(65536).decode("iso-8859-1")
            self.server.requests.append(self.head)
            self.server.reply(self)

    def send(self, data: bytes) -> None:
        self.request.sendall(data)
        self.server.sent += len(data)

    def keep_sending(self, data: bytes, every: float = 0.0) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.server.sent < MOST_BYTES and not self.server.stopped.wait(every):
            self.send(data)

    def stall(self) -> None:
        self.server.stopped.wait(PATIENCE_SECONDS)


Reply = bytes | Callable[[Exchange], None]


@contextlib.contextmanager
def _serving(reply: Reply) -> Iterator[Server]:
    with Server((lambda exchange: exchange.send(reply)) if isinstance(reply, bytes) else reply) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def serving() -> Callable[[Reply], contextlib.AbstractContextManager[Server]]:
    """``with serving(reply) as server``: a server that sends these bytes, or does this, on every connection."""
    return _serving


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty directory that the table is to be downloaded to."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def refused(home: Path) -> Callable[..., str]:
    """Load from a URL and return why not; the error comes in time and names the URL, and no file is left."""

    def check(url: str, timeout: float = 5.0, name: str = "ames.csv") -> str:
        begin = time.monotonic()
        with pytest.raises(DataError) as caught:
            load(path=str(home / name), url=url, timeout=timeout)
        assert time.monotonic() - begin < LONGEST_SECONDS
        assert list(home.iterdir()) == []
        assert url in str(caught.value)
        return str(caught.value).replace(url, "URL")

    return check
