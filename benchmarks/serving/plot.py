"""Draw requests per second: a dot for each server and model, on a logarithmic axis.

Runs in the tools' environment: plot.py RESULTS.json OUT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

#: Colours that stay apart in greyscale and for the colour-blind (Okabe and Ito's), and a shape for each besides.
LOOKS = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "D"))
#: How far the models of one server stand apart, as a share of its row.
SPREAD = 0.2
INK, FAINT, BAND = "#333333", "#dddddd", "#f2f6fa"


def draw(results: dict[str, Any]) -> Any:
    """Return the figure: a panel for each number of connections, fastest server at the top."""
    settings = sorted({m["connections"] for m in results["medians"]})
    models = list(dict.fromkeys(m["model"] for m in results["medians"]))
    servers = _by_speed(results["medians"])
    size = (3.1 + 3.9 * len(settings), 1.5 + 0.42 * len(servers))
    figure, panels = plt.subplots(1, len(settings), figsize=size, sharex=True, sharey=True, squeeze=False)
    for panel, connections in zip(panels[0], settings, strict=True):
        medians = [m for m in results["medians"] if m["connections"] == connections]
        _dots(panel, medians, models, servers)
        panel.set_title(f"{connections} keep-alive connection{'s' * (connections != 1)}", color=INK, fontsize=10)
    panels[0][0].set_yticks(range(len(servers)), [results["titles"][server] for server in servers])
    panels[0][0].invert_yaxis()
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(models), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def _by_speed(medians: list[dict[str, Any]]) -> list[str]:
    best: dict[str, float] = {}
    for median in medians:
        best[median["server"]] = max(best.get(median["server"], 0), median["rate"])
    return sorted(best, key=lambda server: -best[server])


def _dots(panel: Any, medians: list[dict[str, Any]], models: list[str], servers: list[str]) -> None:
    for place, (model, (colour, shape)) in enumerate(zip(models, LOOKS, strict=False)):
        aside = SPREAD * (place - (len(models) - 1) / 2)
        those = [m for m in medians if m["model"] == model]
        places = [servers.index(m["server"]) + aside for m in those]
        panel.plot([m["rate"] for m in those], places, shape, color=colour, label=model, markersize=5.5, alpha=0.85)
    for place, server in enumerate(servers):
        if server.startswith("pegboard"):
            panel.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("requests per second (logarithmic)", color=INK, fontsize=9)
    panel.grid(axis="x", color=FAINT)
    panel.set_axisbelow(True)
    panel.tick_params(colors=INK, length=0, which="both", labelsize=9)
    for spine in panel.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "pegboard"  # the same results give the same file
    drawing = draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    drawing.savefig(sys.argv[2], metadata={"Date": None}, facecolor="white")
