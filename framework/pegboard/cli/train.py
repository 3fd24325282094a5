"""``pegboard train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pegboard.cli.experiment import experiment_from, training_flags
from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, print_json, print_leaderboard, print_report, stdout_for_results
from pegboard.errors import ValidationFailed
from pegboard.runs.words import figure

if TYPE_CHECKING:
    from rich.console import Console

    from pegboard.training.pipeline import Run


@click.command()
@training_flags
@as_json
@click.pass_obj
def train(board: Board, /, as_json: bool, **flags: Any) -> None:
    """Validate the data, let every model compete on the same folds, and publish the winner."""
    experiment = experiment_from(**flags)
    from pegboard.cli.progress import Progress
    from pegboard.training.pipeline import run

    try:
        with stdout_for_results(), Progress(console(stderr=True)) as progress:
            done = run(experiment, board.manager, board.catalog, progress)
    except ValidationFailed as failure:
        if as_json:
            print_json({"validation": failure.report.to_dict()})
        raise
    if as_json:
        print_json(done.to_dict())
        return
    print_outcome(done, console(), experiment.registry)


def print_outcome(done: Run, out: Console, registry: str) -> None:
    """Show what a run came to: warnings about the data, the leaderboard, the hold-out, and what was published."""
    winner, scorer = done.winner, done.leaderboard.scorer
    if done.report.failed:
        print_report(done.report, out)
    print_leaderboard(done.leaderboard, out, winner.candidate.name)
    if winner.holdout_score is not None:
        score = f"{scorer} {figure(winner.holdout_score)}"
        out.print(f"{winner.candidate.name} on {winner.holdout_rows:,} rows held out: {score}")
    if not done.leaderboard.beats_baseline(winner.candidate):
        out.print("warning: it does not beat the baseline: what it has learned does not help", style="yellow")
    out.print(f"published {done.version}  sha256:{done.version.digest[:12]}  to {registry}", style="bold")
    out.print(f"serve it with: pegboard serve {done.version.name}")
    out.print(f"this was run {done.number}; its report: pegboard runs report {done.number} --open")
