"""A client that sends a request a byte at a time, which waitress would wait for as long as it goes on."""

from __future__ import annotations

import socket
import time


def trickled(address: str, port: int, seconds: float) -> float | None:
    """Send a byte of a request's headers every half second; return after how many seconds the server has had enough.

    ``None`` if it still listens after ``seconds``.
    """
    began = time.monotonic()
    with socket.create_connection((address, port), timeout=5) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: host\r\nX-Slow: ")
        line.settimeout(0.5)
        while (passed := time.monotonic() - began) < seconds:
            try:
                line.sendall(b"a")
                if line.recv(1024):
                    return passed
            except TimeoutError:
                continue
            except OSError:
                return passed
            return passed
    return None
