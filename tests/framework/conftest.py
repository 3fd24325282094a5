"""What stands between a store in a bucket and its server."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from pegboard.stores import aws


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
