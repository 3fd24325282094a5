"""What the serving image comes to: its size and what it consists of, the time to ready, and memory.

``python benchmarks/image.py IMAGE`` needs a container engine (``DOCKER`` names the command). The image is started as it
is deployed: read-only, without capabilities. The time to ready is also given as a multiple of what the engine takes to
start the same image's Python and end it, since machines differ.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median

DOCKER = os.environ.get("DOCKER", "docker")
RUNS = 7
REQUESTS = 1000
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")


def docker(*arguments: str) -> str:
    """Run a command of the engine and return what it prints."""
    return subprocess.run([DOCKER, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def inside(image: str, script: str) -> str:
    """Run a shell script in the image and return what it prints."""
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script)


@contextmanager
def started(image: str) -> Iterator[tuple[str, int]]:
    """Start the image as it is deployed; give the container and its port on loopback."""
    container = docker("run", "--detach", "--publish", "127.0.0.1::5000", *LOCKED, image)
    try:
        port = docker("port", container, "5000/tcp").splitlines()[0].rsplit(":", 1)[1]
        yield container, int(port)
    finally:
        docker("rm", "--force", container)


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """Send a request and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until_ready(port: int) -> None:
    """Return as soon as the server says that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if ask(port, "GET", "/ready")[0] == 200:
                return
        time.sleep(0.02)
    raise SystemExit("the image is not ready after a minute")


def seconds_to_ready(image: str) -> float:
    """Return how long it takes from ``docker run`` to readiness."""
    began = time.monotonic()
    with started(image) as (_, port):
        wait_until_ready(port)
        return time.monotonic() - began


def seconds_to_nothing(image: str) -> float:
    """Return how long ``docker run`` takes for a Python that ends at once."""
    began = time.monotonic()
    docker("run", "--rm", *LOCKED, "--entrypoint", "python", image, "-c", "pass")
    return time.monotonic() - began


def memory(image: str) -> tuple[str, str]:
    """Return what the container holds when it is ready, and after it has answered a thousand requests."""
    with started(image) as (container, port):
        wait_until_ready(port)
        first = _used(container)
        rows = json.dumps([_example(image)])
        for _ in range(REQUESTS):
            status, answer = ask(port, "POST", "/predict", rows)
            if status != 200:
                raise SystemExit(f"status {status}: {answer.decode()}")
        return first, _used(container)


def _used(container: str) -> str:
    return docker("stats", "--no-stream", "--format", "{{.MemUsage}}", container).split(" / ")[0]


def _example(image: str) -> dict[str, object]:
    replay = inside(image, "cat /opt/pegboard/bundle/*/replay.json")
    return dict(json.loads(replay)["rows"][0])


def main(image: str) -> None:
    """Measure, and print what was found."""
    total = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    print(f"size  {total / 1e6:.0f} MB, of which")
    for line in inside(image, "du -sm /opt/venv /opt/pegboard").splitlines():
        print(f"  {line}")
    packages = "du -sm /opt/venv/lib/python3*/site-packages/* | sort -rn | head -12 | sed 's|/opt/venv.*/||'"
    for line in inside(image, packages).splitlines():
        print(f"    {line}")
    pairs = [(seconds_to_nothing(image), seconds_to_ready(image)) for _ in range(RUNS)]
    nothing, ready = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(there / bare for bare, there in pairs)
    print(f"ready  {ready:.2f} s after `docker run`, the median of {RUNS}")
    print(f"       {ratio:.1f} times a Python that ends at once ({nothing:.2f} s), the median of the pairs")
    first, then = memory(image)
    print(f"memory  {first} when ready, {then} after {REQUESTS:,} requests")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
