"""The measurement: every server of a model is up, and they are driven in turns."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import wrk
from environments import EnvironmentFailed, Environments
from models import Model
from profiling import Spent
from running import Running, ServerFailed
from servers import Server


@dataclass(frozen=True)
class Plan:
    """How long and how often: each server is driven for ``seconds`` at each number of connections in each round."""

    connections: Sequence[int]
    rounds: int
    seconds: int
    warm_up: int


@dataclass(frozen=True)
class Sample:
    """One server's turn. ``cpu_us`` is the CPU time of its process tree per request, in microseconds."""

    model: str
    server: str
    connections: int
    round: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    requests: int
    errors: int


@dataclass(frozen=True)
class Start:
    """What a server takes: seconds from its start to the first 200, and MiB of resident memory after the load."""

    model: str
    server: str
    cold_start_s: float
    rss_mib: float


@dataclass
class Findings:
    """Everything that was measured; ``failures`` are servers that could not be, ``losses`` requests that were lost."""

    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    profile: list[Spent] = field(default_factory=list)


@contextlib.contextmanager
def started(
    servers: Sequence[Server], model: Model, environments: Environments, runs: Path, findings: Findings
) -> Iterator[list[Running]]:
    """Start the servers one after the other and end them all; what does not start is noted, and the rest go on."""
    with contextlib.ExitStack() as stack:
        up = []
        for server in servers:
            running = None
            try:
                python = environments.python(server.environment)
                running = Running(server, model, python, runs / model.name / server.name)
                up.append(stack.enter_context(running))
                note(f"{model.name}: {server.title} answers after {running.cold_start:.1f} s")
            except (EnvironmentFailed, ServerFailed) as error:
                reason = running.failure(error) if running else str(error)
                findings.failures[f"{model.name}: {server.title}"] = reason
                note(f"{model.name}: {server.title} FAILED: {reason}")
        yield up


def measure(up: Sequence[Running], plan: Plan, findings: Findings) -> None:
    """Drive the servers in turns and note what is seen; a lost request or a wrong prediction afterwards is a loss."""
    scripts = [wrk.write_script(r.place.directory / "post.lua", r.server.request(r.model)) for r in up]
    turns = list(zip(up, scripts, strict=True))
    for running, script in turns:
        _turn(running, script, max(plan.connections), plan.warm_up)
    for number in range(plan.rounds):
        for connections in plan.connections:
            for running, script in _rotated(turns, number):
                load, cpu = _turn(running, script, connections, plan.seconds)
                _record(running, number, connections, load, cpu, findings)
        note(f"{up[0].model.name}: round {number + 1} of {plan.rounds}" if up else "nothing to measure")
    for running in up:
        _look_once_more(running, findings)


def note(text: str) -> None:
    """Tell progress."""
    print(text, file=sys.stderr, flush=True)


def _turn(running: Running, script: Path, connections: int, seconds: int) -> tuple[wrk.Load, float]:
    """Return what wrk saw, and the seconds of CPU time that the server used meanwhile."""
    url = f"http://127.0.0.1:{running.place.port}{running.server.path}"
    before = running.cpu_seconds()
    load = wrk.drive(script, url, connections, seconds)
    return load, running.cpu_seconds() - before


def _rotated(turns: list[tuple[Running, Path]], number: int) -> list[tuple[Running, Path]]:
    """Return the turns of a round: the same neighbours, another one first, so that being first favours nobody."""
    start = number % len(turns) if turns else 0
    return turns[start:] + turns[:start]


def _record(running: Running, number: int, connections: int, load: wrk.Load, cpu: float, findings: Findings) -> None:
    name, model = running.server.name, running.model.name
    if load.errors or not load.requests:
        findings.losses.append(
            f"{model}: {running.server.title}, {connections} connections, round {number + 1}: "
            f"{load.errors} of {load.requests} requests failed"
        )
    findings.samples.append(
        Sample(
            model=model,
            server=name,
            connections=connections,
            round=number,
            rate=load.rate,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
            cpu_us=cpu / max(1, load.requests) * 1e6,
            requests=load.requests,
            errors=load.errors,
        )
    )


def _look_once_more(running: Running, findings: Findings) -> None:
    model, title = running.model.name, running.server.title
    try:
        running.check()
    except (ServerFailed, OSError, ValueError) as error:
        findings.losses.append(f"{model}: {title}, after the load: {error}")
    resident = running.resident_bytes() / 2**20
    findings.starts.append(Start(model, running.server.name, running.cold_start, resident))
