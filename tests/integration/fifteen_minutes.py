"""The promise of docs/plugins.md, in a fresh clone: from scaffold to a served prediction in under fifteen minutes.

Then the pages that go on from there, in the same folder. Run as a script by ``make minutes``; it needs nothing but
Python, git and bash. The minutes that it prints are those of the first page's commands, the installation of Pegboard
included, and not of reading and typing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECTIONS = ("What you need", "Write a plugin in fifteen minutes")
MOST_MINUTES = 15
FURTHER = ("testing-plugins.md", "classification.md", "tuning.md")


def main() -> None:
    """Clone, do what the two sections say, and print the minutes."""
    with tempfile.TemporaryDirectory(prefix="author-") as scratch:
        clone, report = Path(scratch) / "pegboard", Path(scratch) / "report.json"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        wanted = [word for section in SECTIONS for word in ("--section", section)]
        walk = [sys.executable, ROOT / "tests" / "docs" / "walk.py", clone / "docs" / "plugins.md", *wanted]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PEGBOARD_", "MAKE"))}
        # Not this environment: the reader makes one.
        environ.pop("VIRTUAL_ENV", None)
        subprocess.run([*walk, "--report", report], cwd=clone, env=environ, check=True)
        done = json.loads(report.read_text(encoding="utf-8"))
        for page in FURTHER:
            subprocess.run([sys.executable, walk[1], clone / "docs" / page], cwd=clone, env=environ, check=True)
    seconds: dict[str, float] = defaultdict(float)
    for command in done:
        seconds[command["section"]] += command["seconds"]
        print(f"{command['seconds']:7.1f} s  {command['command'][:90]}")
    assert set(seconds) == set(SECTIONS), seconds
    for section, spent in seconds.items():
        print(f"{spent / 60:5.1f} minutes: {section}")
    minutes = sum(seconds.values()) / 60
    print(f"{minutes:5.1f} minutes from an empty environment to a prediction by one's own model")
    assert minutes < MOST_MINUTES


if __name__ == "__main__":
    main()
