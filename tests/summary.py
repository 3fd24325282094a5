"""Print what a run of the tests comes to, as Markdown: coverage by distribution, and who won on the Ames houses.

    python tests/summary.py DIRECTORY

DIRECTORY holds the data files that ``make test COVERAGE=1`` leaves, of one part of the tests or of all. On GitHub the
same text becomes the job's summary.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import coverage

ROOT = Path(__file__).parents[1]
COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def distribution(file: str) -> str:
    """Return whose a source file is, by its path in the repository."""
    first, second, *_ = Path(file).parts
    return second if first == "plugins" else {"framework": "pegboard", "app": "pegboard-serve"}[first]


def covered(directory: Path) -> dict[str, Any]:
    """Combine the data files of a directory, which stay, and return coverage's JSON report."""
    found = sorted(str(path) for path in directory.glob(".coverage.*"))
    if not found:
        raise SystemExit(f"error: {directory} holds no coverage: run `make test COVERAGE=1` first")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "coverage.json"
        combined = coverage.Coverage(data_file=str(Path(scratch) / ".coverage"), config_file=str(ROOT / "setup.cfg"))
        combined.combine(found, keep=True)
        combined.json_report(outfile=str(report))
        return dict(json.loads(report.read_text(encoding="utf-8")))


def coverage_table(report: Mapping[str, Any]) -> Iterable[str]:
    """Return the rows of coverage, the whole last."""
    sums: dict[str, Counter[str]] = {}
    for file, told in report["files"].items():
        counts = {name: told["summary"].get(name, 0) for name in COUNTS}
        sums.setdefault(distribution(file), Counter()).update(counts)
    yield from ("| distribution | statements | branches | covered |", "|---|---:|---:|---:|")
    for name, counts in [*sorted(sums.items()), ("all", sum(sums.values(), Counter()))]:
        reached = counts["covered_lines"] + counts["covered_branches"]
        share = reached / max(1, counts["num_statements"] + counts["num_branches"])
        yield f"| {name} | {counts['num_statements']:,} | {counts['num_branches']:,} | {share:.1%} |"


def trained() -> str:
    """Train the repository's own experiment into a registry that is thrown away, and return what is said of it."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(Path(sys.executable).with_name("pegboard")), "train", "--registry", f"{scratch}/registry"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.replace(f"{scratch}/", "").strip().splitlines())


def main(directory: Path) -> None:
    lines = ["### Coverage", "", *coverage_table(covered(directory)), "", "### Ames house prices", ""]
    text = "\n".join([*lines, "```text", trained(), "```", ""])
    print(text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
