"""Where our server's time goes: py-spy samples, under load, the thread that holds the interpreter's lock."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import wrk
from running import Running, ServerFailed

RATE = 100
CONNECTIONS = 16
MOST = {"package": 8, "function": 10}
STANDARD = "standard library"
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)")
_PACKAGE = re.compile(r".*/(?:site-packages|src|framework)/(?P<inside>.+)")


@dataclass(frozen=True)
class Spent:
    """What one package or function costs: its share of the samples, and microseconds of a request."""

    model: str
    kind: str
    where: str
    share: float | None
    us: float


def profile(running: Running, tools: Path, seconds: int) -> list[Spent]:
    """Return where a request's time goes, by package and by function.

    Only one thread runs Python at a time, and threads that wait for the lock look busy: so only its holder is counted,
    for its innermost Python function and what that calls in C. On a busy machine the microseconds are too many.
    The rest of the CPU time, system calls and native code that lets go of the lock, is one line of its own.
    """
    script = wrk.write_script(running.place.directory / "post.lua", running.server.request(running.model))
    url = f"http://127.0.0.1:{running.place.port}{running.server.path}"
    before = running.cpu_seconds()
    undisturbed = wrk.drive(script, url, CONNECTIONS, seconds)
    cpu_us = (running.cpu_seconds() - before) / undisturbed.requests * 1e6
    with _start(running, tools, seconds) as spy:
        wrk.drive(script, url, CONNECTIONS, seconds)
        _, complaint = spy.communicate()
    if spy.returncode:
        raise ServerFailed(f"py-spy failed (it must be allowed to trace processes): {complaint[-500:]}")
    # A sample is so much of the wall time, and a request takes so much of it when nobody looks.
    us = 1e6 / undisturbed.rate / (RATE * seconds)
    counts: dict[str, Counter[str]] = {"package": Counter(), "function": Counter()}
    for package, function, count in _leaves((running.place.directory / "stacks").read_text(encoding="utf-8")):
        counts["package"][package] += count
        counts["function"][function] += count
    outside = max(0.0, cpu_us - counts["package"].total() * us)
    lines = [Spent(running.model.name, "all", "CPU time", None, cpu_us)]
    lines.append(Spent(running.model.name, "all", "outside the lock", None, outside))
    for kind, most in MOST.items():
        total = counts[kind].total()
        for where, n in counts[kind].most_common(most):
            lines.append(Spent(running.model.name, kind, where, n / total, n * us))
    return lines


def _start(running: Running, tools: Path, seconds: int) -> subprocess.Popen[str]:
    """Start py-spy, which writes folded stacks: frames joined by semicolons, a space, a count."""
    command: list[str | Path] = [tools.parent / "py-spy", "record", "--pid", str(running.process.pid)]
    command += ["--gil", "--subprocesses", "--format", "raw", "--full-filenames", "--rate", str(RATE)]
    command += ["--duration", str(seconds), "--output", running.place.directory / "stacks"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _leaves(stacks: str) -> Iterator[tuple[str, str, int]]:
    """Yield package, function and count of the innermost frame of each stack."""
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        if frame := _FRAME.fullmatch(frames.rpartition(";")[2]):
            inside = _PACKAGE.fullmatch(frame["file"])
            file = inside["inside"] if inside else Path(frame["file"]).name
            package = file.split("/")[0] if inside else STANDARD
            yield package, f"{file}: {frame['function']}", int(count)
