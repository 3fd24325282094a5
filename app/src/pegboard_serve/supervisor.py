"""Several serving processes on one port, and the one that looks after them.

The workers accept from the same listening sockets, which the supervisor has bound: a connection that waits belongs to
no worker in particular, so none is lost when one of them ends. (With a socket for each, SO_REUSEPORT, the kernel resets
the connections that wait at a worker's own.)
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from typing import Any

from pegboard.errors import PegboardError
from pegboard_serve.listen import admit_no_more
from pegboard_serve.settings import Settings
from pegboard_serve.share import CLOSED, Share

logger = logging.getLogger("pegboard.serve")

#: prometheus_client reads it when it is imported: where processes share their counts.
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
#: A worker that lived shorter than this many seconds is started again after a while, which doubles each time.
SHORT_LIFE = 10.0
LONGEST_WAIT = 30.0

_NO_WORDS = "see its messages above"

_context = get_context("spawn")


@dataclass
class _Worker:
    process: Any
    pipe: connection.Connection
    index: int
    started: float = field(default_factory=time.monotonic)


class Supervisor:
    """Starts workers, starts them again when they die, and passes signals on."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._sockets = list(sockets)
        self._workers: list[_Worker] = []
        self._due: list[float] = []
        self._counts = _context.RawArray("i", [CLOSED] * settings.processes)
        self._wait = 0.0
        self._ending: float | None = None
        self._wake, self._woken = socket.socketpair()

    def run(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT; raises :class:`PegboardError` if the first workers cannot start.

        ``announce`` gets what is served, when all of the first workers answer.
        """
        shared = tempfile.mkdtemp(prefix="pegboard-metrics-")
        os.environ[SHARED_METRICS] = shared
        try:
            self._listen()
            for _ in range(self._settings.processes):
                self._workers.append(self._start())
            if served := self._first_words():
                announce(served)
            while self._workers or self._due:
                self._turn()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            shutil.rmtree(shared, ignore_errors=True)

    def _listen(self) -> None:
        """Let signals do no more than wake the supervisor's wait: it sees to them when nothing is half done."""
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def _start(self) -> _Worker:
        ours, theirs = _context.Pipe()
        index = min(set(range(self._settings.processes)) - {worker.index for worker in self._workers})
        share = Share(self._counts, index)
        process = _context.Process(target=_work, args=(self._settings, self._sockets, theirs, share))
        # A worker that is not ready for SIGHUP yet would be ended by it: it gets it later.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        theirs.close()
        return _Worker(process, ours, index)

    def _first_words(self) -> str:
        """Wait until every worker has said what it serves, or why it cannot; return nothing if a signal ends it all."""
        words = ""
        for worker in self._workers:
            while not worker.pipe.poll():
                connection.wait([worker.pipe, self._wake])
                self._heed()
                if self._ending is not None:
                    return ""
            words, failed = _said(worker)
            if failed:
                raise PegboardError(words)
        return words

    def _turn(self) -> None:
        """Wait for a death, a signal, or the time to start a worker again; see to it."""
        now = time.monotonic()
        limits = [*self._due, *([] if self._ending is None else [self._ending])]
        timeout = max(0.0, min(limits) - now) if limits else None
        sentinels = [worker.process.sentinel for worker in self._workers]
        connection.wait([*sentinels, self._wake], timeout)
        self._heed()
        self._bury()
        self._replace()
        if self._ending is not None and time.monotonic() > self._ending:
            for worker in self._workers:
                worker.process.kill()

    def _heed(self) -> None:
        """See to the signals that have come: each has left its number."""
        with suppress(BlockingIOError):
            for number in self._wake.recv(64):
                if number == signal.SIGHUP:
                    self._pass_on(signal.SIGHUP)
                else:
                    self._end()

    def _bury(self) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            words, failed = _said(worker)
            reason = words if failed else _NO_WORDS
            worker.pipe.close()
            Share(self._counts, worker.index).close()
            mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]
            if self._ending is None:
                now = time.monotonic()
                short = now - worker.started < SHORT_LIFE
                self._wait = min(LONGEST_WAIT, max(0.5, self._wait * 2)) if short else 0.0
                ended = (worker.process.pid, worker.process.exitcode, reason, self._wait)
                logger.warning("worker %d ended with %s (%s); starting another in %.1f s", *ended)
                self._due.append(now + self._wait)

    def _replace(self) -> None:
        now = time.monotonic()
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            self._workers.append(self._start())

    def _end(self) -> None:
        if self._ending is not None:
            self._ending = 0.0
            return
        self._ending = time.monotonic() + self._settings.drain_timeout + 5
        self._due.clear()
        for sock in self._sockets:
            admit_no_more(sock)
            sock.close()
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with suppress(ProcessLookupError):  # dead, and its status taken by the start of another: it is buried next
                os.kill(worker.process.pid, number)


def _said(worker: _Worker) -> tuple[str, bool]:
    """Return what a worker serves, or why it cannot."""
    try:
        words, failed = worker.pipe.recv()
    except (EOFError, OSError):
        return _NO_WORDS, True
    return str(words), bool(failed)


def _work(settings: Settings, sockets: Sequence[socket.socket], pipe: connection.Connection, share: Share) -> None:
    """Be a worker."""
    from pegboard_serve.worker import work

    logging.basicConfig(format="%(levelname)s: %(message)s")
    logger.setLevel(logging.INFO)
    # Ctrl-C reaches the whole group; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = os.getppid()

    def announce(this: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        pipe.send((str(this.slot.current.version), False))
        threading.Thread(target=_end_with, args=(pipe,), name="supervisor", daemon=True).start()

    try:
        work(settings, sockets, announce, lambda: os.kill(supervisor, signal.SIGHUP), share)
    except PegboardError as error:
        pipe.send((str(error), True))
        raise SystemExit(1) from None


def _end_with(pipe: connection.Connection) -> None:
    """End when the supervisor is gone, however it went: nobody else would."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
