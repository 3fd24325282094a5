"""``pegboard runs``: what was run, how it went, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from pegboard.cli.main import Board
from pegboard.cli.output import console, print_json, print_leaderboard, print_report, table
from pegboard.cli.places import find_registry, registry_flags
from pegboard.cli.times import Since
from pegboard.errors import ConfigError, PluginError
from pegboard.report import Finding, ValidationReport
from pegboard.runs import comparison
from pegboard.runs.record import STATUSES, RunRecord, Runs
from pegboard.runs.words import figure, seconds, tuned


@click.group()
def runs() -> None:
    """List, show, compare and report runs, failed ones too."""


@runs.command("list")
@registry_flags
@click.option("--name", help="Only runs of this experiment.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that ended so.")
@click.option("--model", help="Only runs that this model has won.")
@click.option("--since", type=Since(), help="Only runs begun since: 12h, 7d, 2w, or a date such as 2026-11-01.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
def list_(
    registry: str | None,
    config: Path | None,
    env: str | None,
    as_json: bool,
    name: str | None,
    status: str | None,
    model: str | None,
    since: datetime | None,
    limit: int | None,
) -> None:
    """List runs, the newest first."""
    found = find_registry(registry, config, env)
    wanted = {"name": name, "status": status, "model": model}
    fits = (run for run in Runs(found.store).list() if _fits(run, wanted, since))
    chosen = list(islice(fits, limit))
    if as_json:
        print_json([_summary(run) for run in chosen])
    elif chosen:
        _print_list(chosen)
    elif any(wanted.values()) or since is not None:
        console().print(f"no run in {found.store} is like that; `pegboard runs list` shows all")
    else:
        console().print(f"{found.store} holds no runs yet; `pegboard train` makes one")


def _fits(run: RunRecord, wanted: dict[str, str | None], since: datetime | None) -> bool:
    if since is not None and (not run.started_at or datetime.fromisoformat(run.started_at) < since):
        return False
    return all(value is None or getattr(run, field) == value for field, value in wanted.items())


def _summary(run: RunRecord) -> dict[str, Any]:
    data, evaluation, winner = run.data or {}, run.evaluation or {}, run.winner or {}
    return {
        "run": run.number,
        "name": run.name,
        "status": run.status,
        "started_at": run.started_at,
        "model": run.model,
        "scorer": run.scorer,
        "mean": winner.get("mean"),
        "holdout": evaluation.get("score"),
        "data": data.get("fingerprint"),
        "seconds": run.seconds,
        "version": run.version,
        "error": run.error,
    }


def _print_list(chosen: Sequence[RunRecord]) -> None:
    figures = ("run", "score", "hold-out", "took")
    columns = ("run", "name", "status", "winner", "score", "hold-out", "data", "took", "version", "started")
    shown = table(*columns, right=figures)
    for run in chosen:
        facts = _summary(run)
        score = "" if facts["mean"] is None else f"{run.scorer} {figure(facts['mean'])}"
        held = "" if facts["holdout"] is None else figure(facts["holdout"])
        took = seconds(run.seconds) if run.timings else ""
        told = run.model, score, held, (facts["data"] or "")[:12], took, run.version
        started = run.started_at[:16].replace("T", " ")
        style = {"published": "", "unfinished": "dim"}.get(run.status, "red")
        shown.add_row(str(run.number), run.name, run.status, *told, started, style=style)
    console().print(shown)


@runs.command()
@registry_flags
@click.argument("run", type=int)
def show(run: int, registry: str | None, config: Path | None, env: str | None, as_json: bool) -> None:
    """Show one run: what it ran on, how the candidates compared, what it came to."""
    record = Runs(find_registry(registry, config, env).store).get(run)
    if as_json:
        print_json(record.to_dict())
        return
    out, shown = console(), table("", "", title=f"Run {record.number}")
    shown.show_header = False
    for label, text in _facts(record):
        shown.add_row(label, text)
    out.print(shown)
    if record.validation is not None:
        findings = tuple(Finding(**finding) for finding in record.validation["findings"])
        print_report(ValidationReport(record.validation["rows"], findings), out)
    if (board := record.leaderboard) is not None:
        print_leaderboard(board, out, record.model)


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    data, evaluation, place = run.data or {}, run.evaluation or {}, run.environment
    libraries = ", ".join(f"{name} {number}" for name, number in place.get("libraries", {}).items())
    plugins = ", ".join(f"{p['distribution']} {p['version']}" for p in place.get("plugins", ()) if p["distribution"])
    git = place.get("git")
    facts = [
        ("experiment", run.name),
        ("status", run.status if run.error is None else f"{run.status} in {run.error['stage']}"),
        ("error", "" if run.error is None else f"{run.error['type']}: {run.error['message']}"),
        ("version", run.version and f"{run.version}, sha256:{run.digest}"),
        ("tuned", "\n".join(map(tuned, run.tunings))),
        ("winner", run.model),
        ("hold-out", figure(evaluation["score"]) + f" on {evaluation['rows']:,} rows" if evaluation else ""),
        ("started", f"{run.started_at} by {run.actor}"),
        ("took", f"{seconds(run.seconds)}: {_longest(run.timings)}" if run.timings else ""),
        ("data", f"{data['rows']:,} rows from {data['origin']}" if data else ""),
        ("fingerprint", f"sha256:{data['fingerprint']}" if data.get("fingerprint") else ""),
        ("machine", f"{place['hostname']}, {place['platform']}"),
        ("libraries", f"Python {place['python']}, {libraries}"),
        ("plugins", plugins),
        ("git", "" if not git else git["commit"] + (" with changes" if git["changed"] else "")),
    ]
    return [(label, text) for label, text in facts if text]


def _longest(timings: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {seconds(took)}" for stage, took in timings.items() if took >= 0.05)


@runs.command()
@registry_flags
@click.argument("numbers", metavar="RUN RUN...", type=int, nargs=-1, required=True)
def compare(
    numbers: tuple[int, ...], registry: str | None, config: Path | None, env: str | None, as_json: bool
) -> None:
    """Show what differs between runs, each score next to the first run's over the same folds."""
    chosen = list(dict.fromkeys(numbers))
    if len(chosen) < 2:
        raise click.UsageError("give two runs at least: pegboard runs compare 3 5")
    found = Runs(find_registry(registry, config, env).store)
    records = [found.get(number) for number in chosen]
    reasons = {run.number: why for run in records[1:] if (why := comparison.incomparable(records[0], run))}
    if as_json:
        print_json(_comparison(records, reasons))
    else:
        _print_comparison(records, reasons)


def _comparison(records: Sequence[RunRecord], reasons: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "runs": [run.number for run in records],
        "not_comparable": [{"run": number, "reasons": why} for number, why in reasons.items()],
        "scores": [
            {
                "candidate": row.candidate,
                "means": row.means,
                "differences": [None if d is None else {"mean": d[0], "error": d[1]} for d in row.differences],
            }
            for row in comparison.scores(records)
        ],
        "differences": [
            {"section": row.section, "what": row.what, "values": row.values} for row in comparison.differences(records)
        ],
    }


def _print_comparison(records: Sequence[RunRecord], reasons: dict[int, list[str]]) -> None:
    out, first = console(), records[0].number
    heads = [f"run {run.number}" for run in records]
    if rows := comparison.scores(records):
        gaps = [f"{run.number} - {first}" for run in records[1:] if run.number not in reasons]
        title = "Scores, and their difference over the same folds" if gaps else "Scores"
        shown = table("candidate", *heads, *gaps, title=title, right=(*heads, *gaps))
        for row in rows:
            paired = [d for run, d in zip(records, row.differences, strict=True) if f"{run.number} - {first}" in gaps]
            shown.add_row(row.candidate, *map(figure, row.means), *(_gap(d) for d in paired))
        out.print(shown)
    for number, why in reasons.items():
        out.print(f"the scores of runs {first} and {number} are not comparable: {'; '.join(why)}", style="yellow")
    shown = table("", "what", *heads, title="What differs")
    for difference in comparison.differences(records):
        values = ("-" if value is None else _short(value) for value in difference.values)
        shown.add_row(difference.section, difference.what, *values)
    out.print(shown)


def _gap(difference: tuple[float, float] | None) -> str:
    if difference is None:
        return "-"
    sign = "+" if difference[0] > 0 else ""
    return f"{sign}{figure(difference[0])} ± {figure(difference[1])}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


@runs.command()
@registry_flags
@click.argument("run", type=int)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file (default: run-RUN.html).")
@click.option("--open", "open_", is_flag=True, help="Open the page in the browser.")
def report(
    run: int,
    output: Path | None,
    open_: bool,
    registry: str | None,
    config: Path | None,
    env: str | None,
    as_json: bool,
) -> None:
    """Write a run's report: one HTML page that needs nothing else, for a colleague."""
    record = Runs(find_registry(registry, config, env).store).get(run)
    try:
        from pegboard.runs.report import render
    except ImportError as error:
        raise ConfigError(f"a report needs {error.name}: pip install 'pegboard[train]'") from error
    page, file = render(record).encode(errors="xmlcharrefreplace"), output or Path(f"run-{run}.html")
    try:
        file.write_bytes(page)
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; name another file with --output") from error
    if as_json:
        print_json({"run": run, "file": str(file), "bytes": len(page)})
    else:
        click.echo(f"wrote {file} ({len(page) / 1000:,.0f} kB)")
    if open_:
        click.launch(str(file))


@runs.command()
@registry_flags
@click.argument("numbers", metavar="[RUN]...", type=int, nargs=-1)
@click.pass_obj
def sync(
    board: Board,
    /,
    numbers: tuple[int, ...],
    registry: str | None,
    config: Path | None,
    env: str | None,
    as_json: bool,
) -> None:
    """Tell trackers again of runs that have ended, all or those named; a tracker skips what it knows already.

    With all runs, it tells of where the aliases point, too. Exit status 1 if a tracker could not take something.
    """
    found = find_registry(registry, config, env)
    kept = Runs(found.store)
    records = [kept.get(number) for number in sorted(set(numbers))] if numbers else list(kept.list())[::-1]
    told = [run for run in records if run.status not in ("unfinished", "damaged")]
    taken = [board.manager.notify("after_run", run=run, registry=found) for run in told]
    moved = {} if numbers else {entry.number: entry for entry in found.ledger.state().moved.values()}
    taken += [board.manager.notify("after_promote", entry=moved[n], registry=found) for n in sorted(moved)]
    left = [run.number for run in records if run not in told]
    if as_json:
        print_json({"told": [run.number for run in told], "left_out": left, "promotions": sorted(moved)})
    else:
        also = f"; left out, being unfinished or damaged: {', '.join(map(str, left))}" if left else ""
        count = f"{len(told)} run{'s' * (len(told) != 1)} and {len(moved)} promotion{'s' * (len(moved) != 1)}"
        click.echo(f"told the plugins of {count}{also}")
    if not all(taken):
        raise PluginError("a plugin could not take everything: see above, and run `pegboard runs sync` again later")
