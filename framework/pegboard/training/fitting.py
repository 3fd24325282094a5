"""Fitting and scoring one candidate on one fold, so that whatever goes wrong belongs to that candidate alone."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any

from threadpoolctl import threadpool_limits

from pegboard.errors import TrainingError, blamed
from pegboard.specs import ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.values import Rows, Table

Folds = Sequence[tuple[Rows, Rows]]


@dataclass(frozen=True, slots=True)
class Isolation:
    """How candidates are kept from each other: ``mode`` is ``"process"`` or ``"thread"``.

    In processes, one fold's fit may take ``timeout`` seconds; in threads nothing can be stopped.
    """

    mode: str = "thread"
    timeout: float = 3600


@dataclass(frozen=True, slots=True)
class Scored:
    """What one fold came to: a score as the scorer's users know it and the seconds of the fit, or an error."""

    score: float | None = None
    seconds: float | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


def available_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


#: Fits and scores a contender on a fold; never raises what a model raises. Threads may call it at the same time.
Fit = Callable[[Contender, int], Scored]


def prepare(isolation: Isolation) -> None:
    """Start beside the run what a later :func:`fitting` would otherwise wait for; may be left out."""
    if isolation.mode == "process":
        from pegboard.training import isolated

        isolated.prepare()


def fitting(
    table: Table, folds: Folds, scorer: ScorerSpec, isolation: Isolation, workers: int
) -> AbstractContextManager[Fit]:
    """Give the function that fits and scores; ``folds`` are (fit, score) pairs of positions.

    At most ``workers`` threads call it at the same time. Each fit has one thread of BLAS and OpenMP, because otherwise
    every one would start as many as there are processors. Leaving the context ends what runs in processes.
    """
    if isolation.mode == "thread":
        return in_threads(table, folds, scorer)
    from pegboard.training.isolated import in_processes  # needs cloudpickle, which comes with the extra ``train``

    return in_processes(table, folds, scorer, isolation.timeout, workers)


@contextmanager
def in_threads(table: Table, folds: Folds, scorer: ScorerSpec) -> Iterator[Fit]:
    """Fit where one is called."""
    with blamed(f"scorer {scorer.name!r}"):
        measure = scorer.make()
    with threadpool_limits(1, user_api="blas"), _CaughtWarnings() as caught:
        yield _InThreads(table, folds, measure, 1.0 if scorer.greater_is_better else -1.0, caught)


@dataclass(frozen=True)
class _InThreads:
    table: Table
    folds: Folds
    measure: Callable[[Any, Any, Any], float]
    sign: float
    caught: _CaughtWarnings

    def __call__(self, contender: Contender, fold: int) -> Scored:
        fit, score = (self.table.rows(positions) for positions in self.folds[fold])
        seconds, messages = None, dict[str, None]()
        try:
            with self.caught.into(messages):
                pipeline = contender.build()  # imports its library the first time, which is no fitting
                # OpenMP counts its threads for each thread that calls it, and only now the library is loaded.
                with threadpool_limits(1, user_api="openmp"):
                    start = time.perf_counter()
                    pipeline.fit(*fit)
                    seconds = time.perf_counter() - start
                    value = self.sign * float(self.measure(pipeline, *score))
                if not isfinite(value):
                    raise TrainingError(f"the score is {value}")
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: where fits run, nobody else raises them
            return Scored(None, seconds, f"fold {fold + 1}: {type(error).__name__}: {error}", tuple(messages))
        return Scored(value, seconds, None, tuple(messages))


class _CaughtWarnings:
    """Collect warnings by the thread that gave them: ``warnings.catch_warnings`` is one for the whole process."""

    def __init__(self) -> None:
        self._all = warnings.catch_warnings()
        self._mine = threading.local()

    def __enter__(self) -> _CaughtWarnings:
        self._all.__enter__()
        warnings.simplefilter("always")
        warnings.showwarning = self._keep
        return self

    def __exit__(self, *exception: Any) -> None:
        self._all.__exit__(*exception)

    @contextmanager
    def into(self, messages: dict[str, None]) -> Iterator[None]:
        """Collect what this thread is warned of into ``messages``."""
        self._mine.messages = messages
        try:
            yield
        finally:
            self._mine.messages = {}

    def _keep(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message).strip().splitlines()
        getattr(self._mine, "messages", {})[f"{category.__name__}: {text[0] if text else ''}"] = None
