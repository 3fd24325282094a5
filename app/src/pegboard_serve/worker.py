"""One serving process: its application, its server, and the signals it listens to."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from pegboard_serve.app import create_app, front
from pegboard_serve.listen import admit_no_more
from pegboard_serve.server import Server
from pegboard_serve.service import Service, service
from pegboard_serve.settings import Settings
from pegboard_serve.share import Share


def work(
    settings: Settings,
    sockets: Sequence[socket.socket],
    announce: Callable[[Service], None],
    ask_reload: Callable[[], None] | None = None,
    share: Share | None = None,
) -> None:
    """Serve until a signal ends it: SIGTERM and SIGINT let it answer what has come, a second one does not.

    SIGHUP makes it look for another version. ``announce`` is called when requests are answered; ``ask_reload``, where
    there are other processes, is how a request for a reload reaches all of them, and ``share`` this one's part.
    """
    with _held(signal.SIGTERM, signal.SIGHUP):
        app = create_app(settings)
        this = service(app)
        this.ask_reload = ask_reload
        server = Server(front(app), sockets, settings, lambda: this.slot.current.quick, share or Share([0], 0))
        look = _reloader(this, settings.poll)

        def end(*_: object) -> None:
            this.draining = True
            if ask_reload is None:  # no other process accepts here
                for sock in sockets:
                    admit_no_more(sock)
            server.drain()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        signal.signal(signal.SIGHUP, lambda *_: look())
    announce(this)
    server.run()


@contextmanager
def _held(*numbers: signal.Signals) -> Iterator[None]:
    """Keep signals until their handlers are set: before, SIGHUP would end the process, and PID 1 would miss SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _reloader(this: Service, poll: float) -> Callable[[], None]:
    """Start the thread that reloads, when it is asked to and every ``poll`` seconds; return how to ask."""
    asked: SimpleQueue[None] = SimpleQueue()  # its put() may be called by a signal's handler

    def reload() -> None:
        while True:
            with suppress(Empty):
                asked.get(timeout=poll or None)
            this.slot.reload()

    threading.Thread(target=reload, name="reload", daemon=True).start()
    return lambda: asked.put(None)
