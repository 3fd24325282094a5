"""Measure how fast Pegboard serves, next to bare waitress, bare Flask, the naive server and its peers.

python3 benchmarks/serving/run.py [--quick]; benchmarks/README.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import report
import wrk
from environments import HERE, ROOT, EnvironmentFailed, Environments, compile_sources
from measure import Findings, Plan, measure, note, started
from models import FAMILY, MODELS, prepare
from profiling import profile
from running import Running, ServerFailed
from servers import SERVERS, Server

NAME = "serving-benchmark"

#: Seconds for which a profile is taken, at the least.
PROFILED = 10


def main() -> int:
    """Measure, write, and return the exit status: 1 if a server failed or a request was lost."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended on the way out
    servers = [server for server in SERVERS if server.name in options.servers]
    plan = Plan(options.connections, options.rounds, options.seconds, min(options.seconds, 2))
    environments = Environments(options.cache)
    try:
        wrk.check()
        findings = _measure(servers, environments, plan, options)
    except (wrk.WrkFailed, EnvironmentFailed) as error:
        sys.exit(f"{error}")
    results = _results(servers, environments, plan, findings)
    _write(results, options.out, environments)
    wrong = [f"{name}: {reason}" for name, reason in findings.failures.items()] + findings.losses
    note("\n".join(["", "FAILED", *wrong] if wrong else ["", "every request was answered"]))
    return 1 if wrong else 0


def _measure(
    servers: Sequence[Server], environments: Environments, plan: Plan, options: argparse.Namespace
) -> Findings:
    findings = Findings()
    ours, tools = environments.python("pegboard"), environments.python("tools")
    compile_sources(ours)
    for name in options.models:
        model = prepare(name, ours, options.cache)
        with started(servers, model, environments, options.cache / "runs", findings) as up:
            measure(up, plan, findings)
            for running in up:
                if options.profile and running.server.name == "pegboard":
                    _profile(running, tools, max(PROFILED, plan.seconds), findings)
    return findings


def _profile(running: Running, tools: Path, seconds: int, findings: Findings) -> None:
    try:
        findings.profile += profile(running, tools, seconds)
    except ServerFailed as error:
        findings.failures[f"{running.model.name}: profile"] = str(error)


def _results(
    servers: Sequence[Server],
    environments: Environments,
    plan: Plan,
    findings: Findings,
) -> dict[str, Any]:
    measured = asdict(findings)
    names = dict.fromkeys(server.environment for server in servers)
    failed = {name for name in names if not (environments.directory / name / ".made-of").exists()}
    return {
        "machine": {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version()},
        "plan": asdict(plan),
        "titles": {server.name: server.title for server in servers},
        "versions": {name: environments.versions(name) for name in names if name not in failed},
        "ratios": report.ratios(measured["samples"]),
        "medians": report.medians(measured["samples"]),
        **measured,
    }


def _write(results: dict[str, Any], out: Path, environments: Environments) -> None:
    out.mkdir(parents=True, exist_ok=True)
    figures = out / f"{NAME}.json"
    figures.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    report.write_page(out / f"{NAME}.md", report.page(results))
    if results["samples"]:
        picture = out / f"{NAME}.svg"
        subprocess.run([environments.python("tools"), HERE / "plot.py", figures, picture], check=True)
    note(f"wrote {NAME}.json, .md and .svg to {out}")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _options() -> argparse.Namespace:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    models = (*MODELS, *FAMILY)
    parser.add_argument("--models", nargs="+", choices=models, default=MODELS, metavar="MODEL", help=", ".join(models))
    parser.add_argument("--servers", nargs="+", choices=names, default=names, metavar="SERVER", help=", ".join(names))
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 16], metavar="N", help="default: 1 16")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=int, default=2, help="of each server's turn in a round; default: 2")
    parser.add_argument("--profile", action="store_true", help="show where Pegboard's CPU time goes (py-spy)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does everything run?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where results go; default: docs/")
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache", help="environments, bundles, logs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if min(options.rounds, options.seconds, *options.connections) < 1:
        parser.error("--rounds, --seconds and --connections start at 1")
    options.cache.mkdir(parents=True, exist_ok=True)
    options.cache, options.out = options.cache.resolve(), options.out.resolve()
    (options.cache / ".gitignore").write_text("*\n")
    return options


if __name__ == "__main__":
    sys.exit(main())
