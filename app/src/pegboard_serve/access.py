"""The access log: one JSON object to a line for each request."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from pegboard_serve.wsgi import REQUEST_ID, Headers

#: Longer methods and paths are cut: a line stays below the 4,096 bytes that a pipe takes whole or not at all, though
#: JSON may need six characters for one of a path's.
LONGEST_METHOD = 20
LONGEST_PATH = 500


class AccessLog(Protocol):
    """What takes a line for each request."""

    def write(self, environ: Mapping[str, Any], status: int, headers: Headers, rows: int, seconds: float) -> None:
        """Take a request that was answered within some seconds."""
        ...


class JsonLog:
    """One JSON object to a line, written at once to a file descriptor, by default that of stdout.

    A pipe that nobody reads must not stop the server: a line that it cannot take is left out.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._encode = msgspec.json.Encoder().encode

    def write(self, environ: Mapping[str, Any], status: int, headers: Headers, rows: int, seconds: float) -> None:
        """Write a line."""
        said = dict(headers)
        line = {
            "time": datetime.now(UTC),
            "request_id": environ[REQUEST_ID],
            "remote": environ.get("REMOTE_ADDR"),
            "method": environ["REQUEST_METHOD"][:LONGEST_METHOD],
            "path": environ["PATH_INFO"][:LONGEST_PATH],
            "status": status,
            "ms": round(seconds * 1000, 3),
            "bytes": int(said.get("Content-Length", 0)),
            "rows": rows,
            "model": said.get("X-Model-Version", "").partition(";")[0],
        }
        with suppress(OSError, ValueError):
            if select.select((), (self._descriptor,), (), 0)[1]:
                os.write(self._descriptor, self._encode(line) + b"\n")


class NoLog:
    """Writes nothing."""

    def write(self, *line: Any) -> None:
        """Write nothing."""
