"""What all commands share: ``--json``, ``--config``, and tables for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.report import ValidationReport
from pegboard.runs.words import decimals, figure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 160

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for machines.")
config_file = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The experiment's file (default: pegboard.toml here, if there is one).",
)


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Apply several click options as one decorator, in the order of the help page."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def print_json(data: Any) -> None:
    """Write JSON to standard output; what JSON cannot say is refused, not invented."""
    click.echo(json.dumps(data, indent=1, allow_nan=False, default=str))


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Let what is printed inside go to standard error, so that standard output carries a command's result alone.

    What C code prints, and processes that are started inside, write to the descriptor: that is turned as well. A stream
    that is closed, or no file of the process (a test's), is left as it is.
    """
    descriptor = _descriptor()
    if descriptor is None:
        with redirect_stdout(sys.stderr):
            yield
        return
    _flush()
    kept = os.dup(descriptor)
    try:
        _point_at_stderr(descriptor)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        try:
            _flush()
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)


def end_results() -> None:
    """Let everything that is still printed go to standard error: the command has written its result."""
    _flush()
    if (descriptor := _descriptor()) is not None:
        _point_at_stderr(descriptor)
    sys.stdout = sys.stderr


def _descriptor() -> int | None:
    """Return standard output's descriptor; none where the process was started without one: a file may have it now."""
    try:
        return None if sys.__stdout__ is None else sys.__stdout__.fileno()
    except (OSError, ValueError):
        return None


def _point_at_stderr(descriptor: int) -> None:
    if sys.__stderr__ is not None:
        os.dup2(sys.__stderr__.fileno(), descriptor)
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _flush() -> None:
    """Empty the buffers, Python's and C's: what is in them was written before the descriptor turned."""
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None and not stream.closed:
            stream.flush()
    if (ctypes := sys.modules.get("ctypes")) is not None:  # NumPy brings it; its import would slow every command
        ctypes.CDLL(None).fflush(None)


def console(*, stderr: bool = False) -> Console:
    """Return a rich console: standard output for results, standard error for progress."""
    from rich.console import Console

    # No markup: a column may be called "length [cm]".
    made = Console(stderr=stderr, highlight=False, markup=False)
    # A pipe has no width of its own, and cutting cells there would lose them.
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, markup=False, width=PIPE_WIDTH)


def table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """Return an empty table; the columns in ``right`` hold figures."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_leaderboard(board: Leaderboard, to: Console, winner: str | None = None) -> None:
    """Show a leaderboard with mean, spread, paired difference to the best, and fit time."""
    from rich.text import Text

    figures = (f"{board.scorer} (mean)", "spread", "behind the best", "fit")
    shown = table("", "candidate", *figures, title="Leaderboard", right=figures)
    for place, candidate in enumerate(board.candidates, start=1):
        if candidate.error is not None:
            shown.add_row("✗", candidate.name, "failed", "", "", "", style="red")
            continue
        mark = "★" if candidate.name == winner else str(place)
        style = "bold green" if candidate.name == winner else "dim" if candidate.baseline else ""
        name = f"{candidate.name} (baseline)" if candidate.baseline else candidate.name
        shown.add_row(mark, name, *_figures(board, candidate), style=style)
    to.print(shown)
    for candidate in board.candidates:
        if candidate.error is not None:
            to.print(Text(f"✗ {candidate.name} failed in {candidate.error}", style="red"))
        for warning in candidate.warnings:
            to.print(Text(f"! {candidate.name}: {warning}", style="yellow"))


def _figures(board: Leaderboard, candidate: Candidate) -> tuple[str, str, str, str]:
    best = board.finished[0]
    digits = decimals(best.mean)
    difference, error = board.behind(candidate)
    behind = "" if candidate is best else f"{difference:+,.{digits}f} ± {figure(error, digits)}"
    return figure(candidate.mean, digits), figure(candidate.spread, digits), behind, f"{candidate.fit_seconds:.2f} s"


def print_report(report: ValidationReport, to: Console) -> None:
    """Show what validation found: a line for all that holds, and one for each thing that does not."""
    from rich.text import Text

    held = len(report.findings) - len(report.failed)
    to.print(f"{held} of {len(report.findings)} expectations hold for {report.rows:,} rows")
    for finding in report.failed:
        style = "red" if finding.severity == "critical" else "yellow"
        to.print(Text(f"  {finding} (expected by {finding.origin})", style=style))
