"""One function answers every prediction request, whatever protocol it came in and whoever calls it.

Authentication, limits and metrics are in here, so no route can forget them. The adapters around it, a WSGI callable
for the hot path and Flask for the rest, only carry bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from pegboard.errors import SignatureError
from pegboard.predictor import Answers
from pegboard_serve.loaded import Loaded
from pegboard_serve.metrics import Metrics
from pegboard_serve.refused import Refused, misfit
from pegboard_serve.rows import Row
from pegboard_serve.settings import Settings
from pegboard_serve.slot import Slot
from pegboard_serve.tokens import Tokens

logger = logging.getLogger("pegboard.serve")


_NONE: Mapping[str, Any] = {}


class Request(NamedTuple):
    """What a protocol may look at; ``arguments`` are what the URL says."""

    body: bytes
    content_type: str = ""
    arguments: Mapping[str, Any] = _NONE


class Call(NamedTuple):
    """Decoded and checked rows, and whatever the protocol needs again to write the answer."""

    rows: Sequence[Row]
    echo: Any = None


class Reply(NamedTuple):
    """An answer: bytes and what to say about them; ``rows`` is how many were predicted."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    rows: int = 0


class Dialect(Protocol):
    """How one protocol reads rows, writes answers and says no; ``route`` is its name in metrics."""

    route: str

    def decode(self, model: Loaded, request: Request) -> Call:
        """Return the request's rows; raises :class:`~pegboard_serve.refused.Refused`."""
        ...

    def encode(self, model: Loaded, call: Call, answers: Answers) -> bytes:
        """Return the body of a response with status 200, as JSON."""
        ...

    def refuse(self, refused: Refused) -> Reply:
        """Return the protocol's own error."""
        ...


class Answering:
    """What answers prediction requests: the served version, who may ask, and the count of it all."""

    def __init__(self, slot: Slot, tokens: Tokens, metrics: Metrics, settings: Settings) -> None:
        self.slot = slot
        self.tokens = tokens
        self.metrics = metrics
        self.settings = settings

    def answer(self, dialect: Dialect, environ: Mapping[str, Any], arguments: Mapping[str, Any] = _NONE) -> Reply:
        """Answer one request, given as a WSGI environment and what its URL says.

        The version is read once, so that a response is from exactly one, and names it.
        """
        started = perf_counter()
        model = self.slot.current
        tally = self.metrics.of(dialect.route, model.version)
        tally.in_progress.inc()
        try:
            reply = self._predict(model, dialect, environ, arguments)
        except Refused as refused:
            reply = dialect.refuse(refused)
        except Exception:
            logger.exception("%s failed on a request to %s", model.version, dialect.route)
            reply = dialect.refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed; see the log"))
        finally:
            tally.in_progress.dec()
        tally.requests(reply.status).inc()
        tally.seconds.observe(perf_counter() - started)
        tally.rows.inc(reply.rows)
        return signed(reply, model)

    def _predict(
        self, model: Loaded, dialect: Dialect, environ: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Reply:
        self.tokens.check(environ.get("HTTP_AUTHORIZATION", ""))
        body = read_body(environ, self.settings.max_body)
        call = dialect.decode(model, Request(body, environ.get("CONTENT_TYPE", ""), arguments))
        try:
            answers = model.predict(call.rows)
        except SignatureError as error:
            raise misfit(error) from None
        if unknown := model.unknown(call.rows):
            self.metrics.unknown(model.version, unknown)
        return Reply(HTTPStatus.OK, "application/json", dialect.encode(model, call, answers), (), len(call.rows))


def signed(reply: Reply, model: Loaded) -> Reply:
    """Return a reply that names its version."""
    headers = (("X-Model-Version", model.label), *reply.headers)
    return Reply(reply.status, reply.media_type, reply.body, headers, reply.rows)


def read_body(environ: Mapping[str, Any], max_body: int) -> bytes:
    """Return a request's body; raises :class:`Refused` before reading one that is too large."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > max_body:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {length} bytes, more than {max_body}")
    body: bytes = environ["wsgi.input"].read(length)
    return body
