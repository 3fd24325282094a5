"""How a run shows itself on a terminal: a line for each stage, a bar while folds run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from pegboard.runs.words import figure, tuned
from pegboard.training.pipeline import Listener
from pegboard.tuning import Trial, Tuning, best_of


class Progress(Listener):
    """A listener that writes to a console; where that is no terminal, it writes plain lines."""

    def __init__(self, console: Console) -> None:
        description = TextColumn("{task.description}", markup=False)
        columns = SpinnerColumn(), description, BarColumn(), TextColumn("{task.fields[count]}")
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task: TaskID | None = None
        self._console = console
        self._began: tuple[str, str, float] | None = None
        self._best: dict[str, Trial | None] = {}
        self._under: list[str] = []

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish("✓" if error is None else "✗")
        self._bar.stop()

    def stage(self, name: str, detail: str) -> None:
        """Close the line of the stage before and open this one's."""
        self._finish("✓")
        self._began = name, detail, time.perf_counter()
        self._task = self._bar.add_task(f"{name}: {detail}", total=None, count="")

    def trial(self, model: str, trial: Trial, greater_is_better: bool) -> None:
        """Say how far a model's search is."""
        best = self._best[model] = best_of(filter(None, (self._best.get(model), trial)), greater_is_better)
        if self._task is not None:
            found = "" if best is None else f", best {figure(best.mean)}"
            self._bar.update(self._task, description=f"tune: {model}", count=f"trial {trial.number + 1}{found}")

    def tuned(self, tunings: Sequence[Tuning]) -> None:
        """Keep what was found for the line of the stage, and those under it."""
        self._under = [tuned(tuning) for tuning in tunings]

    def fold(self, candidate: str, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is not None:
            count = f"fold {done} of {total}"
            self._bar.update(self._task, description=f"compare: {candidate}", total=total, completed=done, count=count)

    def _finish(self, mark: str) -> None:
        if self._began is None or self._task is None:
            return
        name, detail, start = self._began
        style = "green" if mark == "✓" else "red"
        self._bar.remove_task(self._task)
        took = f"  {time.perf_counter() - start:.1f} s"
        self._console.print(Text.assemble((mark, style), f" {name:<9}{detail}", (took, "dim")))
        for line in self._under:
            self._console.print(f"  {line}")
        self._began, self._task, self._under = None, None, []
