"""The README's promise, in a fresh clone: ``make run`` ends with a server that answers the README's request.

Run as a script by ``.ci/run``; it needs nothing but Python, git and make.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 900


def free_port() -> int:
    """Return 5000 as the README has it, or another if that is taken."""
    for port in (5000, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no port is free")


def wait_until_healthy(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait for the server, as long as ``make run`` is alive."""
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"make run ended with status {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"not serving after {MOST_SECONDS} seconds")


def ask(readme: str, port: int) -> float:
    """Run the README's own curl command and return the price."""
    (command,) = re.findall(r"^curl .*$", readme, re.MULTILINE)
    command = command.replace("curl ", "curl --silent --show-error --fail ", 1).replace(":5000/", f":{port}/")
    answer = json.loads(subprocess.run(["bash", "-c", command], check=True, capture_output=True).stdout)
    print(f"the server answers {answer}")
    assert (answer["model"], answer["version"]) == ("house-prices", 1)
    return float(answer["predictions"][0])


def score(clone: Path, readme: str) -> float:
    """Return what ``pegboard predict`` gives for the same row."""
    (row,) = json.loads(re.findall(r"curl -d '(.*?)'", readme)[0])
    (clone / "row.csv").write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    pegboard = clone / ".venv" / "bin" / "pegboard"
    subprocess.run([pegboard, "predict", "row.csv", "price.csv", "--model", "house-prices/1"], cwd=clone, check=True)
    return float((clone / "price.csv").read_text().split()[1])


def main() -> None:
    """Clone, run, ask, compare, stop."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="newcomer-") as scratch:
        clone = Path(scratch) / "pegboard"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        readme, port = (clone / "README.md").read_text(encoding="utf-8"), free_port()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PEGBOARD_", "MAKE"))}
        command = ["make", "run", f"PORT={port}"]
        server = subprocess.Popen(command, cwd=clone, env=environ, start_new_session=True)
        try:
            wait_until_healthy(port, server)
            print(f"serving after {time.monotonic() - started:.0f} seconds")
            served, scored = ask(readme, port), score(clone, readme)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)
    assert 150_000 < served < 260_000, served
    # A row alone and a row in a table may be added up in another order.
    assert math.isclose(served, scored, rel_tol=1e-9), (served, scored)
    print(f"a newcomer gets {served:,.2f} from the server and from `pegboard predict`")


if __name__ == "__main__":
    sys.exit(main())
