"""Downloading a file so that it is there whole, and looked at, or not at all."""

from __future__ import annotations

import http.client
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError, URLError

from pegboard import DataError

MOST_BYTES = 100 * 2**20
MOST_SECONDS = 86_400
CHUNK = 64 * 2**10
#: How long one read may wait for the next bytes, within the whole download's time.
STALL_SECONDS = 10.0


def download(url: str, target: Path, *, check: Callable[[Path], object], timeout: float) -> None:
    """Download ``url`` to ``target`` within ``timeout`` seconds.

    ``check`` reads the file before it gets its name and raises if it is not what it should be. Only http and https
    are spoken, in redirects too; compressed answers and more than 100 MiB are refused. Whatever goes wrong is a
    :class:`DataError`, and leaves no file behind.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"cannot download {url!r}: it is neither http nor https")
    if not 0 < timeout <= MOST_SECONDS:
        raise DataError(f"cannot download {url} in {timeout} seconds: set a timeout above 0, of {MOST_SECONDS} at most")
    deadline = time.monotonic() + timeout
    remedy = f"; try again, or put the file at {target} yourself"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as scratch:
            partial = Path(scratch) / target.name
            with partial.open("wb") as file:
                _fetch(url, file, deadline)
            check(partial)
            partial.replace(target)
    except HTTPError as error:
        raise DataError(f"cannot download {url}: the server answers {error.code} {error.reason}{remedy}") from error
    except (URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"cannot download {url}: {reason or type(error).__name__}{remedy}") from error
    except DataError as error:
        raise DataError(f"cannot use {url}: {str(error).replace(str(partial), 'the answer')}{remedy}") from error


def _fetch(url: str, file: IO[bytes], deadline: float) -> None:
    """Copy what a URL answers to a file, before the deadline however slowly the server writes.

    A socket's time-out starts anew with every byte, so the waiting is done here. A thread that is left behind ends
    with its next write: the file is closed by then.
    """
    outcome: queue.Queue[Exception | None] = queue.Queue()

    def work() -> None:
        try:
            _copy(url, file, deadline)
            outcome.put(None)
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        error = outcome.get(timeout=max(deadline - time.monotonic(), 0.0))
    except queue.Empty:
        raise DataError("the server does not answer in time") from None
    if error is not None:
        raise error


def _copy(url: str, file: IO[bytes], deadline: float) -> None:
    wanted = request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "pegboard"})  # noqa: S310
    patience = min(STALL_SECONDS, max(deadline - time.monotonic(), 0.001))
    with _opener().open(wanted, timeout=patience) as response:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise DataError(f"the answer is compressed ({encoding}), which was not asked for")
        received = 0
        while chunk := response.read1(CHUNK):
            file.write(chunk)
            received += len(chunk)
            if received > MOST_BYTES:
                raise DataError(f"the answer is larger than {MOST_BYTES // 2**20} MiB")
            if time.monotonic() > deadline:
                raise DataError("the answer does not end in time")
    promised = response.headers.get("Content-Length")
    if promised is not None and received != int(promised):
        raise DataError(f"the answer ends after {received} of {promised} bytes")


class _Redirects(request.HTTPRedirectHandler):
    """Follows redirects without reading their bodies, which may be of any length, into memory."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        fp.close()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Return an opener for http and https alone: the default one opens files and FTP too."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        _Redirects,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
