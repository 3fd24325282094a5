"""Fitting in processes: one for each candidate at a time, which may hang, crash or litter without harm to the others.

Workers are forked from a server that has imported what most fits need (``forkserver``), so that starting one costs
little and none inherits this process's threads. A worker fits folds of one candidate only; the next candidate gets
another, so nobody's leftovers reach anybody else. Pools of the usual libraries share one channel between their
workers and do not see a worker that leaves with status 0; here each worker has its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection, forkserver
from multiprocessing.context import BaseContext
from tempfile import TemporaryDirectory
from types import ModuleType

from pegboard.errors import TrainingError, blamed
from pegboard.specs import ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.fitting import Fit, Folds, Scored
from pegboard.training.sending import REMEDY, dump
from pegboard.training.values import Table
from pegboard.training.working import Job, work, write

#: What the server imports before it forks the first worker.
PRELOADED = "pegboard.training.warm"
#: A process that has closed its end of the channel is given so many seconds to end.
GRACE = 5.0
#: The longest that poll(2) can wait, in seconds: 24 days.
FOREVER = 2_000_000.0

_starting = threading.Lock()


def prepare() -> None:
    """Start the server from which workers are forked, if it does not run yet; it imports while others go on."""
    context = _context()
    if context.get_start_method() != "forkserver":
        return
    with _starting, _safe_path():
        context.set_forkserver_preload([PRELOADED])
        forkserver.ensure_running()


def _context() -> BaseContext:
    # macOS has a fork server, but its system libraries do not survive a fork; Windows has none.
    return multiprocessing.get_context("spawn" if sys.platform in ("darwin", "win32") else "forkserver")


@contextmanager
def _safe_path() -> Iterator[None]:
    """Keep a ``statistics.py`` in the working directory from being what the server imports."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def in_processes(table: Table, folds: Folds, scorer: ScorerSpec, timeout: float, workers: int) -> Iterator[Fit]:
    """Fit in at most ``workers`` processes, each fold for ``timeout`` seconds at most. Leaving ends them all.

    The table goes through a file, so that it is written once and its numbers are in memory once. The function that is
    given raises :class:`~pegboard.errors.TrainingError` only if no process can be had.
    """
    prepare()
    with blamed(f"scorer {scorer.name!r}"):
        scorer.make()  # what is wrong with it is no candidate's fault
    with ExitStack() as stack:
        job = Job(_write(stack, table, folds), _dump_scorer(scorer), dict(os.environ))
        pool = _Workers(job, timeout, workers)
        stack.callback(pool.close)
        yield pool.fit


def _write(stack: ExitStack, table: Table, folds: Folds) -> str:
    try:
        directory = stack.enter_context(TemporaryDirectory(prefix="pegboard-", ignore_cleanup_errors=True))
        file = os.path.join(directory, "table.joblib")
        write(file, table, folds)
    except OSError as error:
        raise TrainingError(
            f"the table cannot be written for the processes that fit: {error}: set TMPDIR to a directory with room for "
            'it, or isolation = "thread"'
        ) from error
    return file


def _dump_scorer(scorer: ScorerSpec) -> bytes:
    try:
        return dump(scorer, scorer.make)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise TrainingError(f"scorer {scorer.name!r} cannot be sent to another process: {reason}: {REMEDY}") from error


class _Workers:
    """At most ``size`` live workers, each of one candidate; those that wait are taken again by the same candidate."""

    def __init__(self, job: Job, timeout: float, size: int) -> None:
        self._job, self._timeout, self._size = job, timeout, size
        self._lock = threading.Lock()
        self._alive: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._closed = False

    def fit(self, contender: Contender, fold: int) -> Scored:
        """Fit and score in a process."""
        try:
            task = dump(contender, contender.model.make, contender.preprocessor.make)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            return Scored(error=f"fold {fold + 1}: it cannot be sent to another process: {reason}: {REMEDY}")
        worker = self._take(contender.name)
        try:
            scored = worker.fit(task, fold, min(self._timeout, FOREVER))
        except _Lost as lost:
            self._end(worker)
            return Scored(error=f"fold {fold + 1}: {lost}")
        except BaseException:
            self._end(worker)
            raise
        with self._lock:
            self._idle.append(worker)
        return scored

    def close(self) -> None:
        """End all workers at once, also those that fit."""
        with self._lock:
            self._closed = True
            for worker in self._alive:
                worker.end()

    def _take(self, name: str) -> _Worker:
        with self._lock:
            if self._closed:
                raise TrainingError("the run has ended")
            for worker in self._idle:
                if worker.name == name:
                    self._idle.remove(worker)
                    return worker
            if self._idle and len(self._alive) >= self._size:
                self._alive.remove(oldest := self._idle.pop(0))
                oldest.end()
            worker = _Worker(name, self._job)
            self._alive.append(worker)
            return worker

    def _end(self, worker: _Worker) -> None:
        with self._lock:
            if worker in self._alive:
                self._alive.remove(worker)
                worker.end()


class _Lost(Exception):
    """A worker gave no answer; the message says what became of it."""


class _Worker:
    """A process that fits folds of one candidate, and the channel to it."""

    def __init__(self, name: str, job: Job) -> None:
        self.name = name
        context = _context()
        self._channel, theirs = context.Pipe()
        self._ready = False
        # A daemon of this process, so that an exit that skips `end` ends it all the same.
        self._process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(theirs, job), name=f"pegboard: {name}", daemon=True
        )
        try:
            with _starting, _no_main():
                self._process.start()
        except (OSError, EOFError) as error:
            self._channel.close()
            reason = f"{type(error).__name__}: {error}"
            raise TrainingError(f'no process to fit in can be started: {reason}: set isolation = "thread"') from error
        finally:
            theirs.close()

    def fit(self, task: bytes, fold: int, timeout: float) -> Scored:
        """Fit one fold; raise :class:`_Lost` if there is no answer within ``timeout`` seconds."""
        self._wait_until_ready()
        try:
            self._channel.send((fold, task))
            scored = self._answer(timeout)
        except TimeoutError:
            raise _Lost(f"no end after {timeout:,g} s (--fit-timeout)") from None
        except (EOFError, OSError):
            raise _Lost(self._fate()) from None
        assert isinstance(scored, Scored)  # noqa: S101 - for the type checker: it is what `work` sends
        return scored

    def end(self) -> None:
        """Kill the process and all that it has started."""
        pid = self._process.pid
        if pid is not None and hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def _wait_until_ready(self) -> None:
        """Wait until it has the table: no candidate has a part in this, so it neither fails nor counts as time."""
        if self._ready:
            return
        try:
            problem = self._answer(None)
        except (EOFError, OSError):
            problem = self._fate()
        if problem is not None:
            raise TrainingError(f'a process to fit in did not start: {problem}: set isolation = "thread"')
        self._ready = True

    def _answer(self, timeout: float | None) -> object:
        if not connection.wait([self._channel, self._process.sentinel], timeout):
            raise TimeoutError
        if not self._channel.poll():
            raise EOFError
        return self._channel.recv()

    def _fate(self) -> str:
        self._process.join(GRACE)
        code = self._process.exitcode
        if code is None:
            return "its process closed the channel to the run"
        if code >= 0:
            return f"its process ended with exit status {code}"
        name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
        return f"its process was killed by {name}" + " (was memory short?)" * (name == "SIGKILL")


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide the caller's script, which :mod:`multiprocessing` would run again in the worker.

    What a candidate needs of it goes by value.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
