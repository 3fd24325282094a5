"""The end of a command when a plugin has left threads behind, for which Python would wait for ever."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Any

import click

from pegboard.cli.output import end_results
from pegboard.culprit import stands_at

#: Seconds that threads have to come to their end.
PATIENCE = 10.0


def limit_leaving(status: Any) -> None:
    """Let threads that are left have ten seconds; then name them, and end the process with its exit status.

    Python waits for threads before anything else of its end. So the clock stands still again when it calls what was
    registered for the end, such as a tracker that sends its last lines: that has the time it takes.
    """
    if not _left():
        return
    end_results()
    over = threading.Event()
    atexit.register(over.set)  # called first, being the last that was registered
    threading.Thread(target=_wait, args=(over, _number(status)), name="pegboard-end", daemon=True).start()


def _wait(over: threading.Event, status: int) -> None:
    if over.wait(PATIENCE):
        return
    if left := _left():
        for thread in left:
            did = f"has left the thread {thread.name!r} behind, which did not end within {PATIENCE:g} s"
            click.secho(f"warning: a plugin {did}{_place(thread)}", fg="yellow", err=True)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)


def _left() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]


def _place(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "" if frame is None else f"; it is at {stands_at(frame)}"


def _number(status: Any) -> int:
    """Return an exit status as Python does: a text is an error's."""
    return status if isinstance(status, int) else int(status is not None)
