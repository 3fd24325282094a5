"""``pegboard data``: a source's table, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pegboard.cli.experiment import experiment_from, source_flags
from pegboard.cli.main import Board
from pegboard.cli.output import as_json, console, options, print_json, print_report, table
from pegboard.config import Experiment
from pegboard.signature import Feature
from pegboard.specs import SourceSpec

if TYPE_CHECKING:
    import pandas as pd


@click.group()
def data() -> None:
    """Fetch, describe and validate a source's table."""


_flags = options(source_flags, as_json)


def _load(board: Board, flags: dict[str, Any]) -> tuple[Experiment, SourceSpec, pd.DataFrame]:
    experiment = experiment_from(**flags)
    from pegboard.training.source import configured, load

    source, options = configured(board.catalog.get(SourceSpec, experiment.source), experiment.source_options)
    return experiment, source, load(source, options)


@data.command()
@_flags
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the table to a .csv or .parquet.",
)
@click.pass_obj
def fetch(board: Board, /, as_json: bool, out: Path | None, **flags: Any) -> None:
    """Get the table, downloading it if the source has to, and say what came from where."""
    _, source, frame = _load(board, flags)
    if out is not None:
        from pegboard.tables import write_table

        write_table(frame, out)
    origin = str(frame.attrs.get("origin", source.name))
    if as_json:
        print_json({"source": source.name, "origin": origin, "rows": len(frame), "columns": [*frame.columns]})
    else:
        console().print(f"{len(frame):,} rows of {len(frame.columns)} columns from {origin}", soft_wrap=True)


@data.command()
@_flags
@click.pass_obj
def describe(board: Board, /, as_json: bool, **flags: Any) -> None:
    """Show the signature: each column's role, kind, nulls, and range or categories."""
    _, source, frame = _load(board, flags)
    from pegboard.learning import learn_signature

    signature = learn_signature(frame, source)
    if as_json:
        print_json({"rows": len(frame), "signature": signature.to_dict()})
        return
    shown = table(
        "column",
        "role",
        "kind",
        "nulls",
        "values",
        title=f"{source.name}: {len(frame):,} rows",
        right=("nulls",),
    )
    for key in signature.keys:
        shown.add_row(key, "key", "", "", "")
    for feature in signature.features:
        nulls = int(frame[feature.name].isna().sum()) if feature.name in frame else 0
        shown.add_row(feature.name, "feature", feature.kind, str(nulls), _values(feature))
    classes = f": {', '.join(map(str, signature.classes))}" if signature.classes else ""
    shown.add_row(signature.target, "target", "", "", f"{signature.task}{classes}")
    console().print(shown)


def _values(feature: Feature) -> str:
    if feature.categories is not None:
        few = ", ".join(feature.categories[:6])
        return f"{len(feature.categories)}: {few}{', …' if len(feature.categories) > 6 else ''}"
    if feature.minimum is None or feature.maximum is None:
        return "many" if feature.kind == "category" else ""
    return "true, false" if feature.kind == "boolean" else f"{feature.minimum:.10g} to {feature.maximum:.10g}"


@data.command()
@_flags
@click.option("--against", metavar="VERSION", help="Also compare with what a published version was trained on.")
@click.pass_obj
def validate(board: Board, /, as_json: bool, against: str | None, **flags: Any) -> None:
    """Run every expectation and report; exit status 1 if a critical one fails."""
    experiment, source, frame = _load(board, flags)
    from pegboard.learning import learn_signature
    from pegboard.registry import Registry
    from pegboard.training.pipeline import refuse_invalid
    from pegboard.training.validate import validate as run_validation

    registry = Registry(experiment.registry)
    previous = None
    if against is not None:
        version = registry.resolve(against)
        previous = str(version), registry.open(version).signature
    report = run_validation(frame, source, learn_signature(frame, source), previous)
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(report, console())
    refuse_invalid(report, source.name)
