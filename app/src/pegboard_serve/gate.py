"""The gate's rule ``serving``: a version answers its stored rows over HTTP as its pipeline did, in every protocol."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from pegboard.gate.rule import Outcome, Promotion
from pegboard_serve.gate_exchanges import Asked, Stored, exchanges, predict_body
from pegboard_serve.gate_server import served

#: Single rows whose times are measured, one after the other on one connection, after some that are not.
REQUESTS = 200
UNMEASURED = 20
#: No answer takes longer; in seconds.
TIMEOUT = 60.0
#: How many of the rows that were answered otherwise are named.
MOST_SHOWN = 3

MIB = 2**20


def serving(promotion: Promotion) -> Outcome:
    """Serve the version in a process of its own, replay its rows, and measure latency and memory."""
    gate, version = promotion.environment.gate, promotion.version
    stored = Stored.of(promotion.bundle)
    keys = promotion.environment.trusted_keys
    with served(str(version), str(promotion.registry.store), keys) as (address, pid):
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT)
        try:
            asked = list(exchanges(stored, version.name))
            problems = [problem for one in asked if (problem := _problem(connection, one))]
            milliseconds = _latency(connection, stored) if not problems else None
        finally:
            connection.close()
        memory = resident_memory(pid)
    limit = f"the stored answers to 1e-9; at most {gate.max_latency_ms:.10g} ms and {gate.max_memory_mib:,.10g} MiB"
    figures = {"requests": len(asked), "different": len(problems), "latency_ms": milliseconds, "memory_bytes": memory}
    if milliseconds is None:
        more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
        found = f"{len(problems)} of {len(asked)} requests: {'; '.join(problems[:MOST_SHOWN])}{more}"
        return Outcome(False, found, limit, figures)
    quick, small = milliseconds <= gate.max_latency_ms, memory is None or memory <= gate.max_memory_mib * MIB
    found = f"{_answered(stored, asked)}; {milliseconds:.2f} ms for one row (median); {_memory(memory)}"
    return Outcome(quick and small, found, limit, figures)


def _problem(connection: http.client.HTTPConnection, asked: Asked) -> str | None:
    """Ask, and say how the answer is another than the stored one."""
    status, body = _ask(connection, asked.path, asked.content_type, asked.body)
    if status != http.HTTPStatus.OK:
        return f"{asked.name}: status {status}: {body[:300].decode(errors='replace')}"
    try:
        problem = asked.difference(body)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"the answer cannot be read: {type(error).__name__}: {error}"
    return problem and f"{asked.name}: {problem}"


def _ask(connection: http.client.HTTPConnection, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", path, body, {"Content-Type": content_type})
    response = connection.getresponse()
    return response.status, response.read()


def _latency(connection: http.client.HTTPConnection, stored: Stored) -> float:
    """Return the median time of a row, from the request's first byte to the answer's last, in milliseconds."""
    bodies = [predict_body([row]) for row in stored.rows]
    times = []
    for number in range(UNMEASURED + REQUESTS):
        start = time.perf_counter()
        _ask(connection, "/predict", "application/json", bodies[number % len(bodies)])
        times.append(time.perf_counter() - start)
    return 1000 * median(times[UNMEASURED:])


def resident_memory(pid: int) -> int | None:
    """Return a process's resident memory in bytes as Linux counts it, ``None`` where that cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return None


def _answered(stored: Stored, asked: list[Asked]) -> str:
    forms = Counter(form.split()[0] for form in {one.form for one in asked})
    named = [path if count == 1 else f"{path} in {count} forms" for path, count in sorted(forms.items())]
    return f"{len(stored.rows)} rows answered as stored, one by one and together, by {', '.join(named)}"


def _memory(memory: int | None) -> str:
    return "memory not measured, which takes Linux" if memory is None else f"{memory / MIB:,.0f} MiB resident"
