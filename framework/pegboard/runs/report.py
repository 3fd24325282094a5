"""A run's record as one HTML page that can be sent to a colleague: no request leaves it, no script is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pegboard.leaderboard import Leaderboard
from pegboard.runs import figures
from pegboard.runs.record import RunRecord
from pegboard.runs.words import figure, seconds, value

#: So many categories of a feature are listed.
MOST_CATEGORIES = 8


@dataclass(frozen=True)
class Drawing:
    """A figure and what it says, in a sentence."""

    title: str
    svg: Markup
    caption: str


def render(record: RunRecord) -> str:
    """Return the report of a run as a page; it shows what the run came to, whatever its end was."""
    environment = Environment(
        loader=PackageLoader("pegboard.runs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters: Mapping[str, Callable[..., str]] = {
        "figure": figure,
        "seconds": seconds,
        "plain": _plain,
        "parameter": value,
    }
    environment.filters |= filters
    board = record.leaderboard
    page = environment.get_template("report.html").render(
        run=record,
        board=board,
        winner=board[record.model] if board is not None and record.winner is not None else None,
        headline=_headline(record, board),
        folds=_folds(record, board),
        tunings=record.tunings,
        searches=_searches(record),
        drawings=_drawings(record),
        confusion=_confusion(record.evaluation),
        findings=_findings(record.validation),
        features=_features(record.data),
        limits=_limits(record, board),
    )
    return page.replace("\x00", "\N{REPLACEMENT CHARACTER}") + "\n"  # the one character that HTML cannot hold


def _headline(record: RunRecord, board: Leaderboard | None) -> str:
    """Say in a sentence what the run came to."""
    if record.error is not None:
        verb = "was stopped" if record.status == "interrupted" else "failed"
        return f"This run {verb} in the stage “{record.error['stage']}”; nothing was published."
    if board is None or record.winner is None:
        return "This run has not ended, or was killed: it left nothing but the mark that it had begun."
    best = board[record.model]
    text = f"{best.name} won with a mean {board.scorer} of {figure(best.mean)} over {len(best.scores)} folds"
    held = record.evaluation or {}
    if held.get("score") is not None:
        text += f", and scores {figure(held['score'])} on {held['rows']:,} rows that no candidate had seen"
    return text + "."


def _folds(record: RunRecord, board: Leaderboard | None) -> Drawing | None:
    if board is None or not board.finished:
        return None
    caption = "Each point is a fold, each bar the mean. All candidates had the same folds."
    return Drawing("Scores on each fold", Markup(figures.leaderboard(board, record.model)), caption)  # noqa: S704


def _searches(record: RunRecord) -> Sequence[Drawing]:
    caption = "Each point is a trial with a score on every fold, the line the best so far."
    return [
        Drawing(tuning.model, Markup(figures.search(tuning, record.scorer)), caption)  # noqa: S704
        for tuning in record.tunings
        if tuning.finished
    ]


def _drawings(record: RunRecord) -> Sequence[Drawing]:
    found: Mapping[str, Any] = record.evaluation or {}
    drawn: list[Drawing] = []
    if (pairs := found.get("predictions")) and pairs["actual"]:
        drawn += _regression(pairs["actual"], pairs["predicted"], record.data["signature"]["target"])  # type: ignore[index]
    if curves := found.get("calibration"):
        caption = (
            f"{found['rows']:,} rows held out. On the dashed line, what is given a probability of 30 % comes true in "
            "30 of 100 cases."
        )
        drawn.append(Drawing("Calibration", Markup(figures.calibration(curves)), caption))  # noqa: S704
    if rows := found.get("importance"):
        caption = (
            f"How much worse {record.scorer} gets on the hold-out when one column's values are shuffled; the lines are "
            "the spread over repeats. Columns that say the same share their importance."
        )
        if len(rows) > figures.MOST_BARS:
            caption += f" The first {figures.MOST_BARS} of {len(rows)} columns."
        drawn.append(Drawing("What the model leans on", Markup(figures.importance(rows, record.scorer)), caption))  # noqa: S704
    return drawn


def _regression(actual: Sequence[float], predicted: Sequence[float], target: str) -> Sequence[Drawing]:
    errors = np.abs(np.subtract(predicted, actual))
    half, most = np.quantile(errors, [0.5, 0.9])
    spread = f"Half of the predictions are off by at most {figure(half)}, nine of ten by at most {figure(most)}."
    return [
        Drawing(
            "Predicted against actual",
            Markup(figures.predictions(actual, predicted, target)),  # noqa: S704
            f"{len(actual):,} rows held out. On the line, both are equal.",
        ),
        Drawing("Residuals", Markup(figures.residuals(actual, predicted, target)), spread),  # noqa: S704
    ]


def _confusion(evaluation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the confusion matrix, each count with its share of the row: how dark the cell is."""
    if not evaluation or not (found := evaluation.get("confusion")):
        return None
    rows = [
        [{"count": count, "share": count / sum(counts) if sum(counts) else 0.0} for count in counts]
        for counts in found["counts"]
    ]
    return {"classes": found["classes"], "rows": list(zip(found["classes"], rows, strict=True))}


def _findings(validation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if validation is None:
        return None
    order = {"critical": 0, "warning": 1, "info": 2}
    findings = [{**finding, "expected": _expected(finding)} for finding in validation["findings"]]
    failed = sorted((f for f in findings if not f["success"]), key=lambda f: order[f["severity"]])
    return {"all": findings, "failed": failed}


def _expected(finding: Mapping[str, Any]) -> str:
    shown = (f"{name} = {_plain(value)}" for name, value in finding["kwargs"].items() if name != "column")
    text = ", ".join(shown)
    return text if len(text) <= 160 else text[:159] + "…"


def _features(data: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """Return the intended input: each feature with its kind, nulls, and the values that training saw."""
    if data is None or data["signature"] is None:
        return []
    missing = {name: column["missing"] for name, column in data["schema"].items()}
    return [
        {**feature, "missing": missing.get(feature["name"], 0), "values": _values(feature)}
        for feature in data["signature"]["features"]
    ]


def _values(feature: Mapping[str, Any]) -> str:
    if (categories := feature["categories"]) is not None:
        more = f" … ({len(categories)} in all)" if len(categories) > MOST_CATEGORIES else ""
        return ", ".join(map(str, categories[:MOST_CATEGORIES])) + more
    if feature["minimum"] is None:
        return ""
    return f"{_end(feature['minimum'])} to {_end(feature['maximum'])}"


def _end(value: float) -> str:
    return f"{value:,.6g}" if abs(value) >= 10_000 else f"{value:.6g}"  # years, too, are numbers


def _limits(record: RunRecord, board: Leaderboard | None) -> Sequence[str]:
    """Say what the figures do not: the card's limits."""
    limits = [
        "The rows held out come from the same table as the others: the scores say nothing of data from elsewhere, "
        "or from later.",
        "Values outside the ranges and categories below were not seen in training; what the model makes of them was "
        "not measured.",
    ]
    if any(tuning.model == record.model for tuning in record.tunings):
        limits.insert(
            0,
            "The model's parameters were chosen on the same folds that it was compared on, so its mean there is "
            "optimistic. The rows held out had no part in that.",
        )
    if board is not None and record.winner is not None and not board.beats_baseline(board[record.model]):
        limits.insert(0, "The model does not beat the baseline: what it has learned does not help.")
    if record.evaluation is not None and record.evaluation["score"] is None:
        limits.insert(0, "There is no score on rows held out; the folds' scores are those the winner was chosen by.")
    if record.validation is not None and not all(f["success"] for f in record.validation["findings"]):
        limits.append("The data breaks some expectations; see “The data” above.")
    return limits


def _plain(value: Any) -> str:
    """Write a value of the record as a reader expects it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
