"""Stage 4: every candidate on the same folds, under one scorer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from math import inf

from pegboard.errors import TrainingError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.fitting import Fit, Folds, Isolation, Scored, available_cpus, fitting
from pegboard.training.values import Table


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
    def urgency(self) -> tuple[float, int]:
        """What a further fold should take, unknown counting as long, and how many there are.

        So every contender starts early, and none that hangs takes two threads before others have had one.
        """
        return max(self.seconds, default=inf), len(self.pending)

    def add(self, fold: int, scored: Scored) -> None:
        """Note what a fold came to."""
        if scored.seconds is not None:
            self.seconds.append(scored.seconds)
        if scored.score is not None:
            self.scores[fold] = scored.score
        if scored.error is not None:
            self.errors[fold] = scored.error
        self.warnings |= dict.fromkeys(scored.warnings)

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
    isolation: Isolation | None = None,
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
    workers = workers or available_cpus()
    with (
        # Threads also where fits are in processes: one waits for each. They are joined when nothing can hold them up.
        ThreadPoolExecutor(workers, "fold") as pool,
        fitting(table, folds, scorer, isolation or Isolation(), workers) as fit,
    ):
        try:
            _run_all(runs, fit, pool, on_fold, on_candidate)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    board = Leaderboard.of(scorer.name, scorer.greater_is_better, [run.candidate() for run in runs])
    if not board.finished:
        reasons = "\n  ".join(f"{c.name}: {c.error}" for c in board.candidates)
        raise TrainingError(f"no candidate finished:\n  {reasons}")
    return board


def _run_all(
    runs: Sequence[_Progress],
    fit: Fit,
    pool: Executor,
    on_fold: Callable[[str, int, int], None],
    on_candidate: Callable[[Candidate], None],
) -> None:
    """Run (contender, fold) tasks, the longest first as far as it is known."""
    lock, total, done = threading.Lock(), sum(len(run.pending) for run in runs), 0
    left = {run.contender.name: len(run.pending) for run in runs}

    def next_task() -> _Progress:
        with lock:
            run = max((r for r in runs if r.pending), key=lambda r: r.urgency)
            task = run.pending.pop(0)
        if not run.errors:
            run.add(task, fit(run.contender, task))
        return run

    for future in as_completed([pool.submit(next_task) for _ in range(total)]):
        run = future.result()
        name, done = run.contender.name, done + 1
        left[name] -= 1
        on_fold(name, done, total)
        if not left[name]:
            on_candidate(run.candidate())
