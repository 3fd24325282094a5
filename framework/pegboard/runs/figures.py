"""The report's figures, each an SVG element that stands by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from pegboard.leaderboard import Leaderboard
from pegboard.runs.svg import ACCENT, INK, MUTED, PALETTE, SERIES, drawn, label
from pegboard.tuning import Tuning

#: So many columns are shown, the most important first.
MOST_BARS = 15
MARKERS = "osD^vPX*"


def leaderboard(board: Leaderboard, winner: str) -> str:
    """Every candidate's score on each fold, and their mean."""
    rows = board.finished

    def draw(axes: Axes) -> None:
        for place, candidate in enumerate(reversed(rows)):
            colour = ACCENT if candidate.name == winner else SERIES
            axes.plot(candidate.scores, [place] * len(candidate.scores), "o", color=colour, alpha=0.55, markersize=6)
            axes.plot([candidate.mean] * 2, [place - 0.22, place + 0.22], color=colour, linewidth=2.5)
            name = f"{label(candidate.name)}{' (baseline)' * candidate.baseline}"
            weight = "bold" if candidate.name == winner else "normal"
            axes.annotate(
                name, (0, place), (0, 13), xycoords=("axes fraction", "data"), textcoords="offset points", weight=weight
            )
        axes.set(ylim=(-0.5, len(rows) - 0.2), xlabel=f"{label(board.scorer)}, {_better(board.greater_is_better)}")
        axes.grid(visible=False, axis="y")
        axes.set_yticks([])
        _thousands(axes, "x")

    means = "; ".join(f"{c.name} {c.mean:,.6g}" for c in rows)
    return drawn("folds", f"Scores on each fold with their mean: {means}", 0.55 + 0.55 * len(rows), draw)


def search(tuning: Tuning, scorer: str) -> str:
    """What each finished trial of a model came to, and the best so far."""
    finished = [(trial.number + 1, trial.mean) for trial in tuning.trials if trial.finished]
    best = [(number + 1, mean) for number, mean in tuning.progress]

    def draw(axes: Axes) -> None:
        axes.plot(*zip(*finished, strict=True), "o", color=SERIES, alpha=0.55, markersize=4, markeredgewidth=0)
        steps = [*best, (len(tuning.trials), best[-1][1])]
        axes.plot(*zip(*steps, strict=True), color=ACCENT, linewidth=2, drawstyle="steps-post")
        axes.set(xlabel="trial", ylabel=f"mean {label(scorer)}", xlim=(0.5, len(tuning.trials) + 0.5))
        _thousands(axes, "y")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))

    found = "; ".join(f"trial {number} {mean:,.6g}" for number, mean in best)
    name = f"search-{tuning.model}"
    return drawn(name, f"Best mean score so far of {tuning.model}: {found}", 2.4, draw)


def predictions(actual: Sequence[float], predicted: Sequence[float], target: str) -> str:
    """Predicted against actual values; on the diagonal they are equal."""

    def draw(axes: Axes) -> None:
        ends = [min(*actual, *predicted), max(*actual, *predicted)]
        axes.plot(ends, ends, color=ACCENT, linewidth=1.2)
        _points(axes, actual, predicted)
        axes.set(xlabel=f"actual {label(target)}", ylabel="predicted")
        _thousands(axes, "x", "y")

    return drawn("predicted", f"Predicted against actual {target}, {len(actual)} rows held out", 3.8, draw)


def residuals(actual: Sequence[float], predicted: Sequence[float], target: str) -> str:
    """What was predicted too high (above zero) or too low, by what was predicted."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=ACCENT, linewidth=1.2)
        _points(axes, predicted, np.subtract(predicted, actual).tolist())
        axes.set(xlabel=f"predicted {label(target)}", ylabel="predicted - actual")
        _thousands(axes, "x", "y")

    return drawn("residuals", f"Residuals by predicted {target}, {len(actual)} rows held out", 3.8, draw)


def importance(rows: Sequence[Mapping[str, Any]], scorer: str) -> str:
    """How much worse the score gets when a column is shuffled."""
    shown = rows[:MOST_BARS][::-1]

    def draw(axes: Axes) -> None:
        places = range(len(shown))
        axes.barh(places, [row["mean"] for row in shown], height=0.62, color=SERIES)
        spreads = [row["spread"] for row in shown]
        axes.errorbar([row["mean"] for row in shown], places, xerr=spreads, fmt="none", ecolor=INK, elinewidth=1)
        axes.set_yticks(list(places), [label(row["column"], 24) for row in shown])
        axes.set(xlabel=f"{label(scorer)} lost when shuffled", ylim=(-0.6, len(shown) - 0.4))
        axes.grid(visible=False, axis="y")
        _thousands(axes, "x")

    means = "; ".join(f"{row['column']} {row['mean']:,.4g}" for row in rows[:MOST_BARS])
    return drawn("importance", f"Permutation importance: {means}", 0.65 + 0.27 * len(shown), draw)


def calibration(curves: Sequence[Mapping[str, Any]]) -> str:
    """Predicted probabilities against how often they came true; on the diagonal they are equal."""
    shown = curves[: len(PALETTE)]

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for curve, colour, marker in zip(shown, PALETTE, MARKERS, strict=False):
            name = label(curve["class"], 24)
            axes.plot(curve["predicted"], curve["observed"], marker=marker, color=colour, linewidth=1.4, label=name)
        axes.set(xlabel="predicted probability", ylabel="observed frequency", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.legend(frameon=False, labelcolor=INK, title="class" if len(shown) > 1 else "positive class")

    names = ", ".join(str(curve["class"]) for curve in shown)
    return drawn("calibration", f"Calibration of the predicted probabilities for {names}", 3.8, draw)


def _points(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    axes.plot(x, y, "o", color=SERIES, alpha=0.45, markersize=4, markeredgewidth=0)


def _thousands(axes: Axes, *names: str) -> None:
    """Write large figures as people do, and no more of them than there is room for."""
    for name in names:
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(ticker.MaxNLocator(5))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _better(greater: bool) -> str:
    return "more is better" if greater else "less is better"
