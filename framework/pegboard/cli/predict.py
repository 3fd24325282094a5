"""``pegboard predict``: batch scoring, chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.main import Board
from pegboard.cli.output import as_json, config_file, options, print_json
from pegboard.config import load_experiment, registry_location

_flags = options(
    click.option(
        "--model",
        "reference",
        metavar="VERSION",
        help="name, name/7 or name@alias (default: the experiment's latest).",
    ),
    click.option("--registry", help="The registry's directory."),
    click.option(
        "--chunk",
        type=click.IntRange(min=1),
        default=50_000,
        show_default=True,
        help="Rows held in memory at once.",
    ),
    config_file,
    as_json,
)


@click.command()
@click.argument("source", metavar="IN.csv|parquet", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT.csv|parquet", type=click.Path(dir_okay=False, path_type=Path))
@_flags
@click.pass_obj
def predict(
    board: Board,
    /,
    source: Path,
    target: Path,
    reference: str | None,
    registry: str | None,
    chunk: int,
    config: Path | None,
    as_json: bool,
) -> None:
    """Score a file with a published version: OUT gets the key columns, if IN has them, and the prediction.

    Rows keep their order. Columns that the model does not know are ignored. OUT appears when it is whole.
    """
    from pegboard.predictor import Predictor
    from pegboard.registry import Registry
    from pegboard.tables import score_file

    found = Registry(registry or registry_location(config))
    version = found.resolve(reference or load_experiment(config).name)
    predictor = Predictor.load(found.open(version), board.catalog.kernels())
    rows = score_file(predictor, source, target, chunk)
    if as_json:
        what = {"version": str(version), "digest": version.digest, "compiled": predictor.compiled}
        print_json({"rows": rows, **what, "note": predictor.note, "out": str(target)})
    else:
        click.echo(f"{rows:,} rows scored by {version} into {target}", err=True)
