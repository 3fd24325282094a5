"""Calling plugins' code so that a call that never returns costs its plugin, and not the run.

All calls are made in one thread, one at a time: what a plugin keeps for a thread (a session, a connection) is there
the next time. The thread is a daemon, so a call that hangs does not keep the process from ending. Code that holds the
interpreter's lock for ever, and ``os._exit``, cannot be stopped from inside the process.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from pegboard.culprit import stands_at
from pegboard.errors import ConfigError, PluginError

LOAD_TIMEOUT = "PEGBOARD_LOAD_TIMEOUT"
HOOK_TIMEOUT = "PEGBOARD_HOOK_TIMEOUT"

T = TypeVar("T")

_this_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Limit:
    """How many seconds a call may take, and the variable that sets it."""

    seconds: float
    variable: str

    @classmethod
    def of(cls, environ: Mapping[str, str], variable: str, default: float) -> Limit:
        """Read the limit from the environment; raise :class:`ConfigError` for what is no number of seconds."""
        text = environ.get(variable, "")
        try:
            seconds = float(text) if text else default
        except ValueError:
            seconds = 0.0
        # What a lock can wait for has an end too (some 292 years).
        if not 0 < seconds <= threading.TIMEOUT_MAX:
            raise ConfigError(f"{variable} is {text!r}: it is a number of seconds greater than 0")
        return cls(seconds, variable)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an import or a registration may take, and how long an observer."""

    load: Limit
    hook: Limit

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Limits:
        """Read both from the environment."""
        return cls(Limit.of(environ, LOAD_TIMEOUT, 60), Limit.of(environ, HOOK_TIMEOUT, 300))


class NotReturned(PluginError):
    """A call took longer than its limit; ``place`` is where it was then."""

    def __init__(self, limit: Limit, place: str) -> None:
        self.place = place
        where = f"; it was at {place}" if place else ""
        super().__init__(
            f"it has not returned after {limit.seconds:g} s ({limit.variable} sets the limit), "
            f"and this plugin is not called any more{where}"
        )


class _Call:
    """One call on its way to the thread and back."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function, self._context = function, copy_context()
        self._given: Any = None
        self._error: BaseException | None = None
        self.returned = threading.Lock()
        self.returned.acquire()

    def make(self) -> None:
        try:
            self._given = self._context.run(self._function)
        except BaseException as error:  # it is raised where the call was asked for
            self._error = error
        finally:
            self.returned.release()

    def outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._given


class Caller:
    """Makes calls in a thread of its own, one at a time, and waits for each no longer than its limit."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[[], T], limit: Limit, package: str) -> T:
        """Call ``function`` with the caller's context variables; return or raise what it does.

        ``package`` is whose code it is, to say where it hangs. Raises :class:`NotReturned` when the limit has passed:
        the thread is left to the call, and another takes over. In two places the call is made at once and without a
        limit: in a plugin's call, which would wait for itself; and in the middle of an import, whose lock the plugin
        may need.
        """
        if getattr(_this_thread, "calls_plugins", False) or _importing():
            return function()
        with self._one_at_a_time:
            call, thread = _Call(function), self._running()
            self._calls.put(call)
            returned = False
            try:
                returned = call.returned.acquire(timeout=limit.seconds)
            finally:
                # Also when Ctrl-C has ended the wait: whoever calls next must not queue behind this call.
                if not returned:
                    self._abandon()
            if not returned:
                stack = sys._current_frames().get(thread.ident or 0)
                raise NotReturned(limit, "" if stack is None else stands_at(stack, package))
        return call.outcome()  # type: ignore[no-any-return]

    def _running(self) -> threading.Thread:
        """Return the thread; start one if there is none, or if it was left behind by a fork."""
        if self._thread is None or not self._thread.is_alive():
            self._calls = SimpleQueue()
            self._thread = threading.Thread(target=_make_all, args=(self._calls,), name="pegboard-plugins", daemon=True)
            self._thread.start()
            # The thread knows the queue and not this object, so that it ends when nobody can call any more.
            weakref.finalize(self, self._calls.put, None).atexit = False
        return self._thread

    def _abandon(self) -> None:
        self._calls.put(None)
        self._thread = None


def _make_all(calls: SimpleQueue[_Call | None]) -> None:
    _this_thread.calls_plugins = True
    while (call := calls.get()) is not None:
        call.make()
        del call  # or a table would be kept until the next call


def _importing() -> bool:
    """Whether this thread is in the middle of an import, and so holds a lock that a plugin's import may wait for."""
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
    return False
