"""``pegboard predict``: batch scoring, chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.main import Board
from pegboard.cli.output import as_json, config_file, options, print_json
from pegboard.cli.places import env_flag, environment_registry, find_registry, registry_flag
from pegboard.config import load_environment, load_experiment

_flags = options(
    click.option(
        "--model",
        "reference",
        metavar="VERSION",
        help="name, name/7 or name@alias (default: the experiment's latest).",
    ),
    registry_flag,
    env_flag,
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
    env: str | None,
    chunk: int,
    config: Path | None,
    as_json: bool,
) -> None:
    """Score a file with a published version: OUT gets the key columns, if IN has them, and the prediction.

    Rows keep their order. Columns that the model does not know are ignored. OUT appears when it is whole.
    """
    from pegboard.predictor import Predictor
    from pegboard.tables import score_file

    if env is None:
        found = find_registry(registry, config, None)
        version = found.resolve(reference or load_experiment(config).name)
    else:
        environment = load_environment(env, config)
        found = environment_registry(environment, registry)
        version = found.resolve(reference or f"{found.name_of(environment.model)}@{environment.alias}")
    predictor = Predictor.load(found.open(version), board.catalog.kernels())
    rows = score_file(predictor, source, target, chunk)
    if as_json:
        what = {"version": str(version), "digest": version.digest, "compiled": predictor.compiled}
        print_json({"rows": rows, **what, "note": predictor.note, "out": str(target)})
    else:
        click.echo(f"{rows:,} rows scored by {version} into {target}", err=True)
