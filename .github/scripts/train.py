"""Train on what the source holds now, publish the version, and ask staging's gate: the step of ``train.yml``.

With ``RULE=promote`` the gate's yes moves staging's alias; without it nothing moves, and the version is there to be
proposed. ``build/proposal/report.md`` says how it compared. The step's outputs are ``version``, and ``passed``, which
is ``true`` or ``false``: that a version is no better than the one that serves is no failure, and the exit status is 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROPOSAL = ROOT / "build" / "proposal"
ENVIRONMENT = "staging"


def pegboard(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and return what it has printed; what it says meanwhile stays on standard error."""
    command = [str(Path(sys.executable).with_name("pegboard")), *words]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what a command has printed; end as it ended if that is nothing."""
    if not done.stdout.strip():
        raise SystemExit(done.returncode or f"error: {' '.join(done.args)} printed nothing")
    return dict(json.loads(done.stdout))


def judged(version: str, rule: str) -> Mapping[str, Any]:
    """Ask the gate, which refuses with exit status 1 and a report, and return the report."""
    what = ("--reason", "trained by train.yml, by its rule") if rule == "promote" else ("--dry-run",)
    return dict(told(pegboard("models", "promote", version, "--to", ENVIRONMENT, "--json", *what))["gate"])


def report(version: str, leaderboard: str, gate: Mapping[str, Any]) -> Iterable[str]:
    """Return the lines of the report: who won, and what the gate found."""
    verdict = "lets it through" if gate["passed"] else "does not let it through"
    shown = [line.rstrip() for line in leaderboard.strip().splitlines()]
    yield from (f"### {version}", "", "```text", *shown, "```", "")
    yield from (f"The gate of {ENVIRONMENT} {verdict}.", "", "| | rule | found | allowed |", "|---|---|---|---|")
    for one in gate["findings"]:
        cells = (one["rule"], one["found"], one["limit"] or "")
        told = " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        yield f"| {'✓' if one['passed'] else '✗'} | {told} |"
    yield ""


def note(variable: str, text: str) -> None:
    """Add to one of the files that GitHub reads, or print it where there is none."""
    if file := os.environ.get(variable):
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.write(text)
    else:
        print(text)


def main() -> None:
    rule = os.environ.get("RULE", "")
    # Not left to the training: a source that cannot be had, or holds what it must not, is told apart from a bad model.
    for words in (("data", "fetch"), ("data", "validate")):
        done = pegboard(*words)
        print(done.stdout, file=sys.stderr)
        if done.returncode:
            raise SystemExit(done.returncode)
    run = told(pegboard("train", "--json"))
    version = str(run["version"])
    gate = judged(version, rule)
    text = "\n".join(report(version, pegboard("runs", "show", str(run["run"])).stdout, gate))
    PROPOSAL.mkdir(parents=True, exist_ok=True)
    (PROPOSAL / "report.md").write_text(text, encoding="utf-8")
    note("GITHUB_STEP_SUMMARY", text)
    note("GITHUB_OUTPUT", f"version={version}\npassed={json.dumps(gate['passed'])}\n")


if __name__ == "__main__":
    main()
