"""The outermost WSGI callable: a short way to ``POST /predict``, and Flask behind it for everything else.

Both ways carry bytes to the one function that answers, and what comes back is the same to the byte. What every
response has is done here once: the request's id, the host's name, and a line in the access log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import Any

from werkzeug.sansio.utils import host_is_trusted

from pegboard_serve.access import AccessLog
from pegboard_serve.answer import Answering, Reply, signed
from pegboard_serve.protocols.native import NATIVE, problem_reply
from pegboard_serve.refused import Refused
from pegboard_serve.wsgi import REQUEST_ID, ROWS, Environ, Headers, Response, Wsgi, reply_headers, status_line

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

UNTRUSTED = Refused(HTTPStatus.BAD_REQUEST, "the host in the request is not one that this server is for")


class Front:
    """The application that a server calls."""

    def __init__(self, answering: Answering, inner: Wsgi, trusted_hosts: tuple[str, ...], log: AccessLog) -> None:
        self._answering = answering
        self.inner = inner
        self._trusted_hosts = trusted_hosts
        self.log = log
        # Unique over processes and restarts, at the price of a counter.
        self._prefix = os.urandom(6).hex()
        self._numbers = count(1)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        started = perf_counter()
        self._identify(environ)
        if self._trusted_hosts and not host_is_trusted(environ.get("HTTP_HOST"), self._trusted_hosts):
            return self.refuse(environ, start_response, UNTRUSTED)
        if environ["PATH_INFO"] == "/predict" and environ["REQUEST_METHOD"] == "POST":
            return self._send(environ, start_response, self._answering.answer(NATIVE, environ), started)
        return self._behind(environ, start_response, started)

    def refuse(self, environ: Environ, start_response: Callable[..., Any], refused: Refused) -> Response:
        """Refuse a request before it has come to a route; it is counted under the route ``-``."""
        model = self._answering.slot.current
        self._answering.metrics.of("-", model.version).requests(refused.status).inc()
        if REQUEST_ID not in environ:
            self._identify(environ)
        return self._send(environ, start_response, signed(problem_reply(refused), model), perf_counter())

    def _send(self, environ: Environ, start_response: Callable[..., Any], reply: Reply, started: float) -> Response:
        headers = [*reply_headers(reply), ("X-Request-ID", environ[REQUEST_ID])]
        start_response(status_line(reply.status), headers)
        taken = perf_counter() - started
        # The log can wait until the client has its answer.
        return Response(reply.body, partial(self.log.write, environ, reply.status, headers, reply.rows, taken))

    def _behind(self, environ: Environ, start_response: Callable[..., Any], started: float) -> Iterable[bytes]:
        request_id = environ[REQUEST_ID]

        def started_response(status: str, headers: Headers, *more: Any) -> Any:
            headers = [*headers, ("X-Request-ID", request_id)]
            self.log.write(environ, int(status[:3]), headers, environ.get(ROWS, 0), perf_counter() - started)
            return start_response(status, headers, *more)

        return self.inner(environ, started_response)

    def _identify(self, environ: Environ) -> None:
        """Take the request's id, if it is one that may stand in a header and a log; else give it one."""
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is None or not _GIVEN_ID.fullmatch(given):
            given = f"{self._prefix}-{next(self._numbers):x}"
        environ[REQUEST_ID] = given
