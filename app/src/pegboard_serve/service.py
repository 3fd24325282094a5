"""What the routes of one application share, and how an answer becomes a response of Flask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, request

from pegboard_serve.answer import Answering, Dialect, Reply
from pegboard_serve.metrics import Metrics
from pegboard_serve.settings import Settings
from pegboard_serve.slot import Slot
from pegboard_serve.tokens import Tokens
from pegboard_serve.wsgi import ROWS, reply_headers, status_line

EXTENSION = "pegboard"


@dataclass
class Service:
    """One application's parts.

    ``draining`` is set when it is asked to end, and makes it unready. ``ask_reload`` is set where other processes must
    look for another version too.
    """

    settings: Settings
    slot: Slot
    tokens: Tokens
    metrics: Metrics
    answering: Answering
    draining: bool = False
    ask_reload: Callable[[], None] | None = None

    def reload(self) -> None:
        """Look for another version: here, or in every process of which this is one."""
        (self.ask_reload or self.slot.reload)()


def service(app: Flask | None = None) -> Service:
    """Return the parts of an application, by default of the one whose request is being answered."""
    found: Service = (app or current_app).extensions[EXTENSION]
    return found


def predict(dialect: Dialect, **arguments: Any) -> Response:
    """Answer the current request in a dialect; ``arguments`` are what its URL says."""
    reply = service().answering.answer(dialect, request.environ, arguments)
    request.environ[ROWS] = reply.rows
    return answered(reply)


def answered(reply: Reply) -> Response:
    """Return a reply as a response of Flask, the same to the byte."""
    return Response(reply.body, status_line(reply.status), reply_headers(reply))
