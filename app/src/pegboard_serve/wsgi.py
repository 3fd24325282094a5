"""How an answer stands in a WSGI response: the same lines whoever writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def reply_headers(reply: Reply) -> Headers:
    """Return the headers of a prediction's answer."""
    return [("Content-Type", reply.media_type), ("Content-Length", str(len(reply.body))), *reply.headers]


def status_line(status: int) -> str:
    """Return what stands in a response's first line."""
    return _STATUS[status]
