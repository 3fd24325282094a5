"""``pegboard train``."""

from __future__ import annotations

from typing import Any

import click

from pegboard.cli.experiment import experiment_from, training_flags
from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, figure, print_json, print_leaderboard, print_report
from pegboard.errors import ValidationFailed


@click.command()
@training_flags
@as_json
@click.pass_obj
def train(board: Board, /, as_json: bool, **flags: Any) -> None:
    """Validate the data, let every model compete on the same folds, and publish the winner."""
    experiment = experiment_from(**flags)
    from pegboard.cli.progress import Progress
    from pegboard.training.pipeline import run

    with Progress(console(stderr=True)) as progress:
        try:
            done = run(experiment, board.manager, board.catalog, progress)
        except ValidationFailed as failure:
            if as_json:
                print_json({"validation": failure.report.to_dict()})
            raise
    if as_json:
        print_json(done.to_dict())
        return
    out, winner = console(), done.winner
    if any(finding.severity != "critical" for finding in done.report.failed):
        print_report(done.report, out)
    print_leaderboard(done.leaderboard, out, winner.candidate.name)
    if winner.holdout_score is not None:
        scorer, rows = done.leaderboard.scorer, winner.holdout_rows
        out.print(f"{winner.candidate.name} on {rows:,} rows held out: {scorer} {figure(winner.holdout_score)}")
    if not done.leaderboard.beats_baseline(winner.candidate):
        out.print("[yellow]warning: it does not beat the baseline; it has learned nothing that helps[/]")
    out.print(f"[bold]published {done.version}[/]  sha256:{done.version.digest[:12]}  → {experiment.registry}")
    out.print(f"serve it with: pegboard serve {done.version.name}")
