"""How an answer stands in a WSGI response: the same lines whoever writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from pegboard_serve.answer import Reply

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

#: Where in the environment the request's id is, and how many rows were predicted.
REQUEST_ID = "pegboard.request_id"
ROWS = "pegboard.rows"

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Response:
    """A WSGI response in one piece; what is left to do when it was sent is done as it is closed."""

    def __init__(self, body: bytes, closing: Callable[[], None]) -> None:
        self.body = body
        self.close = closing

    def __iter__(self) -> Iterator[bytes]:
        return iter((self.body,))


def reply_headers(reply: Reply) -> Headers:
    """Return the headers of a prediction's answer."""
    return [("Content-Type", reply.media_type), ("Content-Length", str(len(reply.body))), *reply.headers]


def status_line(status: int) -> str:
    """Return what stands in a response's first line."""
    return _STATUS[status]
