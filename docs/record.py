"""Record ``pegboard train`` on the first experiment as the README's picture: ``python docs/record.py``."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from rich.console import Console

from pegboard.catalog import Catalog
from pegboard.cli import progress
from pegboard.cli.train import print_outcome
from pegboard.config import Experiment
from pegboard.manager import load_plugins
from pegboard.training.pipeline import run

TARGET = Path(__file__).parent / "leaderboard.svg"

if __name__ == "__main__":
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=False, highlight=False)
    console.print("$ pegboard train")
    manager = load_plugins(environ={})
    with tempfile.TemporaryDirectory() as registry:
        experiment = Experiment(name="house-prices", source="house-prices", registry=registry)
        with progress.Progress(console) as listener:
            done = run(experiment, manager, Catalog(manager), listener)
    print_outcome(done, console, "registry")
    drawing = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="pegboard train"), flags=re.DOTALL)
    TARGET.write_text(drawing, encoding="utf-8")  # without fonts that a viewer would have to fetch
    print(f"wrote {TARGET.name}")
