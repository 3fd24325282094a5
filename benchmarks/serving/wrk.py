"""The load: wrk sends one request over keep-alive connections for a while."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
done = function(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {{"requests":%d,"seconds":%.6f,"errors":%d,"p50_ms":%.4f,"p99_ms":%.4f}}',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


class WrkFailed(Exception):
    """wrk is missing, or did not run to its end."""


@dataclass(frozen=True)
class Load:
    """What wrk saw; ``errors`` counts statuses of 400 and more, failed connections, reads and writes, and timeouts."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def check() -> None:
    """Raise :class:`WrkFailed` if there is no wrk."""
    if shutil.which("wrk") is None:
        raise WrkFailed("wrk is not installed; on Debian: apt-get install wrk")


def write_script(path: Path, body: str) -> Path:
    """Write the script that makes wrk send ``body`` and print its findings as JSON."""
    path.write_text(SCRIPT.format(body=body), encoding="utf-8")
    return path


def drive(script: Path, url: str, connections: int, seconds: int) -> Load:
    """Load ``url`` over that many connections, and return what was seen."""
    line = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = [text for text in done.stdout.splitlines() if text.startswith("RESULT ")]
    if done.returncode or not found:
        raise WrkFailed(f"wrk ended with status {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return Load(**json.loads(found[0].removeprefix("RESULT ")))
