"""What differs between runs, and what their scores say about one another, if they say anything."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from pegboard.difference import flat
from pegboard.runs.record import RunRecord

#: The settings that, with the data, say which rows are in which fold.
_FOLDS = ("folds", "splitter", "seed", "holdout")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is not the same in all runs; ``None`` where a run does not have it."""

    section: str
    what: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """One candidate's mean score in each run, and its paired difference to the first run over the folds.

    A difference is (mean, standard error), in the scorer's unit; ``None`` where a score is missing or is not to be
    compared.
    """

    candidate: str
    means: tuple[float | None, ...]
    differences: tuple[tuple[float, float] | None, ...]


def differences(runs: Sequence[RunRecord]) -> list[Row]:
    """Return what is not the same in all runs, section by section."""
    common = set.intersection(*(set(run.parameters) for run in runs))  # of the others, the scores say that they differ
    sections = [_sections(run, common) for run in runs]
    found = []
    for section in sections[0]:
        tables = [mine[section] for mine in sections]
        for what in dict.fromkeys(key for table in tables for key in table):
            values = tuple(table.get(what) for table in tables)
            if any(value != values[0] for value in values):
                found.append(Row(section, what, values))
    return found


def scores(runs: Sequence[RunRecord]) -> list[Scores]:
    """Return every candidate's scores in all runs, in the order of the first run's leaderboard."""
    names = dict.fromkeys(candidate["name"] for run in runs for candidate in run.candidates)
    return [_scores(name, runs) for name in names]


def incomparable(first: RunRecord, other: RunRecord) -> list[str]:
    """Say why two runs' scores are not to be compared fold by fold; nothing if they are."""
    prints = [(run.data or {}).get("fingerprint") for run in (first, other)]
    reasons = []
    if None in prints:
        reasons.append("the data of one of them is not known")
    elif prints[0] != prints[1]:
        reasons.append("other data")
    if first.scorer != other.scorer:
        reasons.append(f"another scorer: {first.scorer or 'none'} and {other.scorer or 'none'}")
    for name in _FOLDS:
        mine, theirs = first.experiment.get(name), other.experiment.get(name)
        if mine != theirs:
            reasons.append(f"other folds: {name} is {mine} and {theirs}")
    return reasons


def _scores(name: str, runs: Sequence[RunRecord]) -> Scores:
    rows = [next((c for c in run.candidates if c["name"] == name), None) for run in runs]
    folds = [row["scores"] if row is not None and row["scores"] else None for row in rows]
    paired = [
        _paired(folds[0], theirs) if place and not incomparable(runs[0], run) else None
        for place, (run, theirs) in enumerate(zip(runs, folds, strict=True))
    ]
    return Scores(name, tuple(None if f is None else fmean(f) for f in folds), tuple(paired))


def _paired(first: Sequence[float] | None, other: Sequence[float] | None) -> tuple[float, float] | None:
    if first is None or other is None or len(first) != len(other):
        return None
    gaps = [theirs - mine for mine, theirs in zip(first, other, strict=True)]
    return fmean(gaps), stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0


def _sections(run: RunRecord, candidates: Collection[str]) -> dict[str, dict[str, Any]]:
    data, environment, evaluation = run.data or {}, run.environment, run.evaluation or {}
    plugins = {p["distribution"]: p["version"] for p in environment.get("plugins", ()) if p["distribution"]}
    return {
        "experiment": dict(flat(run.experiment)),
        "data": {key: data.get(key) for key in ("fingerprint", "rows", "origin")},
        "columns": {name: _column(column) for name, column in data.get("schema", {}).items()},
        "parameters": dict(flat({name: p for name, p in run.parameters.items() if name in candidates})),
        "libraries": {"python": environment.get("python"), **environment.get("libraries", {}), **plugins},
        "machine": {
            **{key: environment.get(key) for key in ("hostname", "platform")},
            **dict(flat({"git": environment.get("git") or {}})),
        },
        "outcome": {
            "status": run.status,
            "winner": run.model or None,
            "hold-out": evaluation.get("score"),
            "version": run.version or None,
            "error": None if run.error is None else f"{run.error['stage']}: {run.error['message']}",
        },
        "seconds": dict(run.timings),
    }


def _column(column: Mapping[str, Any]) -> str:
    return f"{column['role'] or 'unused'}, {column['kind']}, {column['missing']:,} missing"
