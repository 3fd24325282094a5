"""waitress with lanes, limits and an orderly end.

waitress hands each request from its loop to a thread and back, which costs more than a compiled prediction does. Here
the loop answers short requests itself: a small body for a model whose row takes microseconds, and the health checks,
which so are answered when every thread is busy. Everything else goes to the threads; when too many wait, the next is
told to come again (503). What waitress takes and should not (a length and chunks at once) is refused.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import Task, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, build_http_date

from pegboard_serve.front import Front
from pegboard_serve.refused import Refused
from pegboard_serve.settings import Settings
from pegboard_serve.share import MOMENT, Share
from pegboard_serve.wsgi import Headers, Response

logger = logging.getLogger("pegboard.serve")

_silent = logging.getLogger("pegboard.serve.queue")
_silent.disabled = True

#: Always answered by the loop.
HEALTH = frozenset({"/health", "/ready", "/ping", "/v2/health/live", "/v2/health/ready"})
#: Bytes of what may stand between two chunks of a body.
LONGEST_LINE = 8192
#: Characters of Python's own words about a request that cannot be read.
LONGEST_REASON = 200
#: The longest body that the loop itself answers: about 16 rows of ten features.
SHORT = 4096
#: The headers that the short way looks at.
_LOOKED_AT = ("HOST", "AUTHORIZATION", "X_REQUEST_ID")
#: How long a quiet connection is kept while the server ends, in seconds: its client may be about to ask.
LINGER = 0.5
#: How long a client that was refused may go on sending, in seconds.
READ_AWAY = 5.0


class Busy(Exception):
    """The request is one too many."""

    code = HTTPStatus.SERVICE_UNAVAILABLE.value
    body = "too many requests wait already; try again"


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses requests whose length can be read in two ways, and what waitress would break off without an answer."""

    body_rcv: Any

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of 5,000 digits, an address with half a bracket
            raise ParsingError(f"the request cannot be read: {error}"[:LONGEST_REASON]) from None
        if (self.chunked and "CONTENT_LENGTH" in self.headers) or "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding with Content-Length, or before HTTP/1.1")
        if self.chunked:
            self.body_rcv = Chunks(self.body_rcv.getbuf())


class Chunks(ChunkedReceiver):  # type: ignore[misc]
    """Refuses a chunk's size or a trailer that does not end: waitress would read it again with all that comes."""

    def received(self, s: bytes) -> int:
        """Take bytes; return how many."""
        taken: int = super().received(s)
        if len(self.control_line) + len(self.trailer) > LONGEST_LINE:
            self.error = BadRequest(f"a line between chunks is longer than {LONGEST_LINE} bytes")
        return taken


class _Response(Task):  # type: ignore[misc]
    """A response whose head is written as it is where nothing needs to be worked out."""

    def build_response_header(self) -> bytes:
        """Return the head. While the server ends, it says that the connection does too."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        keeps = self.version == "1.1" and "CONNECTION" not in self.request.headers and not self.close_on_finish
        if keeps and self.content_length is not None and self.has_body:
            return _head(self.status, [*self.response_headers, ("Date", _date(int(self.start_time)))])
        header: bytes = super().build_response_header()
        return header


def _head(status: str, headers: Headers) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    date: str = build_http_date(second)
    return date


class Answer(_Response, WSGITask):  # type: ignore[misc]
    """A response of the application."""


class ShortAnswer(_Response):
    """A prediction by the loop itself: of WSGI's environment it makes what the short way looks at."""

    complete = True

    def execute(self) -> None:
        """Ask the application, and send its answer in one piece."""
        headers = self.request.headers
        environ = {
            "REQUEST_METHOD": self.request.command,
            "PATH_INFO": self.request.path,
            "REMOTE_ADDR": self.channel.addr[0],
            "CONTENT_TYPE": headers.get("CONTENT_TYPE", ""),
            "CONTENT_LENGTH": headers.get("CONTENT_LENGTH", "0"),
            "wsgi.input": self.request.get_body_stream(),
        }
        for name in _LOOKED_AT:
            if name in headers:
                environ[f"HTTP_{name}"] = headers[name]
        self._send(self.channel.server.application(environ, self._start_response))

    def _start_response(self, status: str, headers: Headers) -> None:
        self.status, self.response_headers = status, headers

    def _send(self, response: Response) -> None:
        self.content_length = len(response.body)
        head = self.build_response_header()
        self.wrote_header = True
        self.channel.send_now(head + response.body)
        response.close()


class Refusal(ShortAnswer):
    """A response to what waitress itself refuses, as a problem document."""

    def execute(self) -> None:
        """Write it, and close the connection: what follows on it cannot be trusted."""
        error, request = self.request.error, self.request
        retry = (("Retry-After", "1"),) * (error.code == Busy.code)
        too_large = f"the body has more than {self.channel.adj.max_request_body_size - 1} bytes"
        detail = too_large if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else str(error.body)
        environ = {
            "REQUEST_METHOD": getattr(request, "command", None) or "-",
            "PATH_INFO": getattr(request, "path", None) or "-",
            "REMOTE_ADDR": self.channel.addr[0],
        }
        refused = Refused(HTTPStatus(error.code), detail, headers=retry)
        response = self.channel.server.application.refuse(environ, self._start_response, refused)
        self.set_close_on_finish()
        self.channel.read_away()
        self._send(response)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection, some of whose requests the loop answers itself."""

    parser_class = Parser
    task_class = Answer
    error_task_class = Refusal
    at_once = False
    given_up = math.inf

    def received(self, data: bytes) -> bool:
        """Take bytes; answer what is short, and send the answer without another turn of the loop."""
        taken: bool = super().received(data)
        if self.at_once:
            while self.at_once:
                self.at_once = False
                self.service()
                self.task_class = Answer
            if self.writable():
                self.handle_write()
        return taken

    def send_now(self, data: bytes) -> None:
        """Send from the loop, without the way through a buffer for what the socket takes."""
        sent = 0 if self.total_outbufs_len else self.send(data)
        self.write_soon(data[sent:])

    def send_continue(self) -> None:
        """Ask for a body, unless the request is refused already or has none: it would never come, or come in vain."""
        if not self.request.completed:
            super().send_continue()

    def read_away(self) -> None:
        """When it is time to close, first read what the client is still sending.

        Unread bytes would reset the connection, and the client would not see the answer.
        """
        self.handle_close = self._end_sending

    def _end_sending(self) -> None:
        del self.handle_close  # from now on to close is to close
        if not self.connected:
            self.handle_close()
            return
        self.will_close = False
        self.given_up = time.time() + READ_AWAY
        self.received = lambda data: False  # type: ignore[method-assign]  # noqa: ARG005 - nobody looks at it
        self.socket.shutdown(socket.SHUT_WR)

    def idle_since(self) -> float | None:
        """Return when the connection became quiet, ``None`` while something is being read, answered or sent."""
        busy = self.requests or self.request is not None or self.total_outbufs_len
        return None if busy else float(self.last_activity)


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket of a server."""

    channel_class = Channel

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.draining = False
        self._server = server
        self._left = False
        self._left_until = 0.0
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(
            server.app,
            server.map,
            _sock=sock,
            dispatcher=server.threads,
            adj=server.adjustments,
            sockinfo=info,
            bind_socket=False,
        )

    def add_task(self, task: Channel) -> None:
        """Find the lane of a request that has been read."""
        self._server.place(task)

    def pull_trigger(self) -> None:
        """Wake the loop, unless this is the loop."""
        if not self._server.in_loop():
            super().pull_trigger()

    def readable(self) -> bool:
        """Say whether to look for another connection."""
        wanted: bool = super().readable()
        self._server.share.report(self._server.connections())
        return wanted and not self.is_leaving()

    def handle_accept(self) -> None:
        """Take a connection; one that another process should have is left to it for a moment, once."""
        self._left = not (self._left or self.draining) and self._server.share.is_above()
        if self._left:
            self._left_until = time.monotonic() + MOMENT
        else:
            super().handle_accept()

    def is_leaving(self) -> bool:
        """Say whether a connection is left to the others just now."""
        return time.monotonic() < self._left_until

    def maintenance(self, now: float) -> None:
        """Close, once a second, the connections that have been quiet for too long or were refused a while ago."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if now > channel.given_up:
                channel.will_close = True

    def drain(self) -> None:
        """Take the connections that wait already, and no more."""
        self.draining = True
        self._server.share.close()
        before = -1
        while before != len(self.active_channels):
            before = len(self.active_channels)
            self.handle_accept()
        wasyncore.dispatcher.close(self)

    def hang_up(self, quiet: float) -> None:
        """Close the connections that have been quiet since then."""
        for channel in self.active_channels.values():
            if (since := channel.idle_since()) is not None and since < quiet:
                channel.will_close = True


class Server:
    """Serves an application on sockets until it is told to end."""

    def __init__(
        self,
        app: Front,
        sockets: Sequence[socket.socket],
        settings: Settings,
        quick: Callable[[], bool],
        share: Share,
    ) -> None:
        self.app = app
        self.share = share
        self.map: dict[int, Any] = {}
        self.adjustments = Adjustments(
            ident=None,
            threads=settings.threads,
            connection_limit=settings.max_connections + len(sockets) * 2,
            channel_timeout=settings.channel_timeout,
            cleanup_interval=1,
            max_request_body_size=settings.max_body + 1,
            clear_untrusted_proxy_headers=False,  # nothing here looks at them
            asyncore_use_poll=True,  # select() cannot watch more than 1,024 files
            send_bytes=18_000,  # header and body leave together
        )
        self._max_queue = settings.max_queue
        self._quick = quick
        self._loop = 0
        self._deadline: float | None = None
        self._drain_timeout = settings.drain_timeout
        self.threads = ThreadedTaskDispatcher()
        self.threads.queue_logger = _silent  # the queue has a limit, and who is refused is counted and logged
        self.threads.set_thread_count(settings.threads)
        self._listeners = [Listener(self, sock) for sock in sockets]
        share.report(0)  # the others leave connections to it already, though its loop has yet to begin

    def run(self) -> None:
        """Answer until :meth:`drain` was called and every request in flight has its answer, or time is up."""
        self._loop = threading.get_ident()
        while self._deadline is None:
            leaving = any(listener.is_leaving() for listener in self._listeners)
            wasyncore.loop(timeout=MOMENT if leaving else 1, map=self.map, use_poll=True, count=1)
        for listener in self._listeners:
            listener.drain()
        while self.connections() and time.monotonic() < self._deadline:
            quiet = time.time() - LINGER  # as of before the look: what comes while this process stands still is read
            wasyncore.loop(timeout=0.1, map=self.map, use_poll=True, count=1)
            for listener in self._listeners:
                listener.hang_up(quiet)
        if lost := self.connections():
            plural = "connection was" if lost == 1 else "connections were"
            logger.warning("%d %s still open at the end", lost, plural)
        self.threads.shutdown(timeout=0.5 if lost else 5.0)  # idle ones end as soon as they are let run
        wasyncore.close_all(self.map)

    def drain(self) -> None:
        """Accept nothing more, answer what has come, and end; called a second time, end now.

        It may be called by a signal's handler: it takes no lock.
        """
        self._deadline = time.monotonic() + self._drain_timeout if self._deadline is None else 0.0
        with suppress(OSError):  # it has ended already
            for listener in self._listeners:
                listener.trigger.pull_trigger()

    def in_loop(self) -> bool:
        """Say whether the caller is the loop."""
        return threading.get_ident() == self._loop

    def place(self, channel: Channel) -> None:
        """Let the loop or a thread answer a channel's next request, or refuse it."""
        request = channel.requests[0]
        if not self.in_loop():
            self.threads.add_task(channel)  # the next of several that came at once
        elif self._is_short(request):
            channel.task_class = ShortAnswer
            channel.at_once = True
        elif request.error or request.path in HEALTH:
            channel.at_once = True
        elif len(self.threads.queue) >= self._max_queue:
            request.error = Busy()
            channel.at_once = True
        else:
            self.threads.add_task(channel)

    def _is_short(self, request: HTTPRequestParser) -> bool:
        """Say whether a prediction takes no longer than a thread would take to wake up."""
        if request.error or request.path != "/predict" or request.command != "POST":
            return False
        length = request.headers.get("CONTENT_LENGTH", "0")
        return len(length) < 5 and int(length) <= SHORT and self._quick()

    def connections(self) -> int:
        """Return how many connections are open."""
        return sum(len(listener.active_channels) for listener in self._listeners)
