"""Stage 4: every candidate on the same folds, under one scorer."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from threadpoolctl import threadpool_limits

from pegboard.errors import TrainingError, blamed
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.values import Rows, Table

Folds = Sequence[tuple[Rows, Rows]]


@dataclass
class _Progress:
    """What is known of one contender while the folds run."""

    contender: Contender
    pending: list[int]
    scores: dict[int, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    @property
    def expected_seconds(self) -> float:
        """What a further fold should take; unknown counts as long, so every contender starts early."""
        return max(self.seconds, default=inf)

    def candidate(self) -> Candidate:
        model = self.contender.model
        finished = not self.errors
        return Candidate(
            name=model.name,
            scores=tuple(self.scores[fold] for fold in sorted(self.scores)) if finished else (),
            fit_seconds=sum(self.seconds) / len(self.seconds) if self.seconds else 0.0,
            complexity=model.complexity,
            baseline=model.baseline,
            error=None if finished else self.errors[min(self.errors)],
            warnings=tuple(sorted(self.warnings)),
        )


def compare(
    table: Table,
    folds: Folds,
    contenders: Sequence[Contender],
    scorer: ScorerSpec,
    *,
    workers: int | None = None,
    on_fold: Callable[[str, int, int], None] = lambda *_: None,
    on_candidate: Callable[[Candidate], None] = lambda _: None,
) -> Leaderboard:
    """Fit and score every contender on every fold and return the leaderboard.

    ``folds`` are (fit, score) pairs of positions. A contender that raises, or scores anything but a finite number,
    is on the board as failed. ``on_fold(name, done, total)`` and ``on_candidate`` are called from this thread.
    Raises :class:`TrainingError` if none finishes.
    """
    runs = [_Progress(contender, list(range(len(folds)))) for contender in contenders]
    with blamed(f"scorer {scorer.name!r}"):
        measure = scorer.make()
    fit = _Fitter(table, folds, measure, 1.0 if scorer.greater_is_better else -1.0)
    _run_all(runs, fit, workers or available_cpus(), on_fold, on_candidate)
    board = Leaderboard.of(scorer.name, scorer.greater_is_better, [run.candidate() for run in runs])
    if not board.finished:
        reasons = "\n  ".join(f"{c.name}: {c.error}" for c in board.candidates)
        raise TrainingError(f"no candidate finished:\n  {reasons}")
    return board


def available_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Fitter:
    table: Table
    folds: Folds
    measure: Callable[[Any, Any, Any], float]
    sign: float

    def __call__(self, run: _Progress, fold: int) -> None:
        """Fit and score one fold; whatever goes wrong belongs to that contender alone."""
        fit, score = (self.table.rows(positions) for positions in self.folds[fold])
        try:
            pipeline = run.contender.build()  # imports its library the first time, which is no fitting
            start = time.perf_counter()
            pipeline.fit(*fit)
            run.seconds.append(time.perf_counter() - start)
            value = self.sign * float(self.measure(pipeline, *score))
            if not isfinite(value):
                raise TrainingError(f"the score is {value}")
            run.scores[fold] = value
        except (Exception, SystemExit) as error:
            run.errors[fold] = f"fold {fold + 1}: {type(error).__name__}: {error}"


def _run_all(
    runs: Sequence[_Progress],
    fit: _Fitter,
    workers: int,
    on_fold: Callable[[str, int, int], None],
    on_candidate: Callable[[Candidate], None],
) -> None:
    """Run (contender, fold) tasks over threads, the longest first as far as it is known.

    Threads, because scikit-learn's fits release the GIL; BLAS and OpenMP keep to one thread each, because otherwise
    every fit would start as many as there are processors.
    """
    lock, total, done = threading.Lock(), sum(len(run.pending) for run in runs), 0
    left = {run.contender.name: len(run.pending) for run in runs}

    def next_task() -> _Progress:
        with lock:
            run = max((r for r in runs if r.pending), key=lambda r: r.expected_seconds)
            task = run.pending.pop(0)
        if not run.errors:
            with caught.into(run.warnings):
                fit(run, task)
        return run

    with _CaughtWarnings() as caught, threadpool_limits(1, user_api="blas"):
        pool = ThreadPoolExecutor(workers, "fold", initializer=threadpool_limits, initargs=(1, "openmp"))
        try:
            for future in as_completed([pool.submit(next_task) for _ in range(total)]):
                run = future.result()
                name, done = run.contender.name, done + 1
                left[name] -= 1
                on_fold(name, done, total)
                if not left[name]:
                    on_candidate(run.candidate())
        finally:
            pool.shutdown(cancel_futures=True)


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
