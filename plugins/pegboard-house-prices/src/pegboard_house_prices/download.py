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
CHUNK = 64 * 2**10
#: How long one read may wait for the next bytes, within the whole download's time.
STALL_SECONDS = 10.0


def download(url: str, target: Path, *, check: Callable[[Path], object], timeout: float) -> None:
    """Download ``url`` to ``target`` within ``timeout`` seconds.

    ``check`` reads the file before it gets its name and raises if it is not what it should be. Only http and https
    are spoken, in redirects too; compressed answers and more than 100 MiB are refused. Whatever goes wrong is a
    :class:`DataError`, and leaves nothing behind.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"cannot download {url!r}: it is neither http nor https")
    deadline = time.monotonic() + timeout
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as scratch:
            partial = Path(scratch) / target.name
            with partial.open("wb") as file:
                _fetch(url, file, deadline)
            check(partial)
            partial.replace(target)
    except HTTPError as error:
        raise DataError(f"cannot download {url}: the server answers {error.code} {error.reason}") from error
    except (URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"cannot download {url}: {reason or type(error).__name__}") from error
    except DataError as error:
        raise DataError(f"cannot use {url}: {error}") from error


def _fetch(url: str, file: IO[bytes], deadline: float) -> None:
    with _open(url, deadline) as response:
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


def _open(url: str, deadline: float) -> Any:
    """Open a URL before the deadline, however slowly the server writes its headers.

    A socket's time-out starts anew with every byte, so the waiting is done here and the thread is left behind.
    """
    answers: queue.Queue[Any] = queue.Queue()
    remaining = max(deadline - time.monotonic(), 0.0)

    def ask() -> None:
        try:
            wanted = request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "pegboard"})  # noqa: S310
            answers.put(_opener().open(wanted, timeout=min(STALL_SECONDS, remaining)))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="download", daemon=True).start()
    try:
        answer = answers.get(timeout=remaining)
    except queue.Empty:
        raise DataError("the server does not answer in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _opener() -> request.OpenerDirector:
    """Return an opener for http and https alone: the default one opens files and FTP too."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
