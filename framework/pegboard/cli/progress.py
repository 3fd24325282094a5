"""How a run shows itself on a terminal: a line for each stage, a bar while folds run."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from pegboard.training.pipeline import Listener


class Progress(Listener):
    """A listener that writes to a console; where that is no terminal, it writes plain lines."""

    def __init__(self, console: Console) -> None:
        description = TextColumn("{task.description}", markup=False)
        columns = SpinnerColumn(), description, BarColumn(), TextColumn("{task.fields[count]}")
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task: TaskID | None = None
        self._console = console
        self._began: tuple[str, str, float] | None = None

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
        self._began = self._task = None
