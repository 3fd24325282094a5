"""Serve in two processes under mixed load for a while: nothing may fail, and no process may grow.

    python tests/soak/soak.py --seconds 600 [--rate 200] [--json FILE]

Good clients ask for one row and for batches, and compare every answer with what the model is known to say; others send
what must be refused, or send slowly, half, or too much; every other second another version is swapped in. At the end
the least resident memory of each worker in the last quarter of the time is compared with that in the first half of it.
The exit status is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.registry import Registry
from pegboard.training import pipeline

NAME, ALIAS = "house-prices", "live"
PROCESSES = 2
MODELS = ("linear-regression", "random-forest-regressor")
#: Seconds of load before memory is looked at: until then both models have been loaded a few times.
WARM_UP = 30.0
#: The share that memory may grow by, from the higher of the first two quarters to the last one: of a run of so many
#: seconds, and of one within which no allocator settles.
SHARE, LONG = 0.05, 300.0
SHARE_OF_A_SHORT_RUN = 0.10
JSON = {"Content-Type": "application/json"}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ROUTES = ("/predict", f"/v2/models/{NAME}/infer", "/invocations")

BAD_BODIES = (
    b"", b"[", b"{}", b"null", b"\xff\xfe", b"[NaN]", b'[{"LotArea": 1e999}]', b'{"LotArea": "\\ud800"}',
    b'{"LotArea": ' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"Id":' * 50_000, b"[" + b"{}," * 1000 + b"{}]",
)  # fmt: skip
BAD_BYTES = (
    b"\x16\x03\x01\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    HEAD + b"Content-Length: 99999999999\r\n\r\n" + b" " * 100_000,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 50_000,
    HEAD + b"X: " + b"x" * 300_000 + b"\r\n\r\n",
)


class Soak:
    """The running server, what it is known to answer, and what went wrong."""

    def __init__(self, registry: Path, rate: float, seconds: float) -> None:
        self.registry = Registry(registry)
        self.rate, self.seconds = rate, seconds
        self.known = _known(self.registry)
        self.rows: list[dict[str, Any]] = self.known[0][0]
        self.lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.half_open: list[socket.socket] = []
        self.swaps = 0
        self.process, self.address = _start(registry)
        self.warm = time.monotonic() + WARM_UP

    def over(self) -> bool:
        return time.monotonic() > self.warm + self.seconds or self.process.poll() is not None

    def client(self, act: Callable[[random.Random], None], share: float, seed: int) -> None:
        """Act again and again, at its share of the rate."""
        chance = random.Random(seed)
        while not self.over():
            started = time.monotonic()
            try:
                act(chance)
            except Exception as error:
                self.complain(f"{act.__name__}: {error!r}")
            time.sleep(max(0.0, 1 / (self.rate * share) - (time.monotonic() - started)))

    def complain(self, what: str) -> None:
        with self.lock:
            self.wrong.append(what)

    def seen(self, status: int, allowed: Callable[[int], bool], what: str) -> None:
        with self.lock:
            self.statuses[status] += 1
        if not allowed(status):
            self.complain(f"{what}: {status}")

    def good(self, chance: random.Random) -> None:
        """Ask a few times on one connection, and compare."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        for _ in range(chance.randint(1, 20)):
            picked = chance.sample(range(len(self.rows)), chance.choice((1, 1, 1, 1, 2, 16, 60)))
            connection.request("POST", "/predict", json.dumps([self.rows[i] for i in picked]), JSON)
            response = connection.getresponse()
            answer = json.loads(response.read())
            self.seen(response.status, lambda status: status == 200, "a good request")
            expected = [self.known[answer["version"] - 1][1][i] for i in picked]
            near = all(abs(a - b) <= 1e-9 * abs(b) for a, b in zip(answer["predictions"], expected, strict=True))
            named = response.headers["X-Model-Version"].startswith(f"{NAME}/{answer['version']};")
            if not (near and named):
                self.complain(f"version {answer['version']} answered {answer['predictions']}, not {expected}")
        connection.close()

    def bad_body(self, chance: random.Random) -> None:
        """Send what is no body, of any content type, on any route."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        types = ("application/json", "text/csv", "text/plain", "")
        connection.request(
            "POST", chance.choice(ROUTES), chance.choice(BAD_BODIES), {"Content-Type": chance.choice(types)}
        )
        response = connection.getresponse()
        response.read()
        self.seen(response.status, lambda status: 400 <= status < 500, "a bad body")
        connection.close()

    def bad_bytes(self, chance: random.Random) -> None:
        """Send what is no request."""
        with socket.create_connection(self.address, 60) as wire:
            wire.sendall(chance.choice(BAD_BYTES))
            first = wire.makefile("rb").readline()
        self.seen(int(first.split()[1]), lambda status: 400 <= status < 500, "a bad request")

    def slow(self, chance: random.Random) -> None:
        """Send a good request in pieces, with time between them."""
        body = json.dumps(chance.choice(self.rows)).encode()
        request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        with socket.create_connection(self.address, 60) as wire:
            for start in range(0, len(request), 40):
                wire.sendall(request[start : start + 40])
                time.sleep(0.05)
            first = wire.makefile("rb").readline()
        self.seen(int(first.split()[1]), lambda status: status == 200, "a slow request")

    def half(self, chance: random.Random) -> None:
        """Leave half a request; go away in the middle, or stay until there are too many of them."""
        wire = socket.create_connection(self.address, 60)
        wire.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{"[: chance.randint(0, 60)])
        self.half_open.append(wire)
        while len(self.half_open) > 50:
            self.half_open.pop(chance.randrange(50)).close()

    def swap(self, chance: random.Random) -> None:  # in turn: each quarter has as much of either
        """Let the other version be served, once all processes serve the last one."""
        if not self.settled():
            return
        self.swaps += 1
        self.registry.promote(f"{NAME}/{1 + self.swaps % len(MODELS)}", ALIAS)
        self.process.send_signal(signal.SIGHUP)

    def settled(self) -> bool:
        """Whether each process serves the version that was promoted last."""
        with urllib.request.urlopen("http://{}:{}/metrics".format(*self.address), timeout=60) as response:
            text = response.read().decode()
        served = re.findall(rf'^pegboard_serving{{.*version="{1 + self.swaps % len(MODELS)}".*}} (.*)', text, re.M)
        return sum(map(float, served)) == PROCESSES


def _known(registry: Registry) -> list[tuple[list[dict[str, Any]], list[float]]]:
    """Return the rows and what each version answers, from its pipeline itself."""
    rows: list[dict[str, Any]] = list(registry.open(registry.resolve(f"{NAME}/1")).replay()["rows"])
    answers = []
    for number in range(1, len(MODELS) + 1):
        predictor = Predictor.load(registry.open(registry.resolve(f"{NAME}/{number}")))
        answers.append((rows, predictor.predict_records(rows).values.tolist()))
    return answers


def _publish(location: Path) -> None:
    manager = load_plugins()
    for model in MODELS:
        experiment = Experiment(name=NAME, source=NAME, models=(model,), registry=str(location))
        pipeline.run(experiment, manager, Catalog(manager))
    Registry(location).promote(f"{NAME}/1", ALIAS)


def _start(registry: Path) -> tuple[subprocess.Popen[str], tuple[str, int]]:
    command = [Path(sys.executable).with_name("pegboard"), "serve", f"{NAME}@{ALIAS}", "--registry", registry]
    more = ["--processes", str(PROCESSES), "--port", "0", "--channel-timeout", "10"]
    log = (registry.parent / "access.log").open("w+")
    process = subprocess.Popen([*command, *more], stdout=log, stderr=sys.stderr, text=True)
    while not (found := re.search(r"http://([0-9.]+):(\d+)", (registry.parent / "access.log").read_text())):
        if process.poll() is not None:
            raise SystemExit("the server did not start")
        time.sleep(0.05)
    return process, (found[1], int(found[2]))


def workers(supervisor: int) -> list[int]:
    """Return the ids of the serving processes."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def lows(samples: list[int]) -> list[int]:
    """Return the least of each quarter: a swap loads a model beside another, so all above that comes and goes."""
    quarter = len(samples) // 4
    return [min(samples[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]


def run(soak: Soak) -> dict[str, Any]:
    """Send the load, and return the report."""
    acts = ((soak.good, 0.1), (soak.good, 0.1), (soak.bad_body, 0.15), (soak.bad_bytes, 0.1), (soak.slow, 0.005),
            (soak.half, 0.05), (soak.swap, 0.5 / soak.rate))  # fmt: skip
    clients = [threading.Thread(target=soak.client, args=(*act, seed)) for seed, act in enumerate(acts)]
    first = workers(soak.process.pid)
    memory: dict[int, list[int]] = {pid: [] for pid in first}
    for client in clients:
        client.start()
    while not soak.over():
        for pid, samples in memory.items() if time.monotonic() > soak.warm else ():
            with suppress(FileNotFoundError):
                samples.append(resident(pid))
        time.sleep(0.25)
    for client in clients:
        client.join()
    patience = time.monotonic() + 60
    while soak.process.poll() is None and not soak.settled():
        if time.monotonic() > patience:
            soak.complain("a process never served the version that was promoted last")
            break
        time.sleep(0.1)
    if soak.process.poll() is None and workers(soak.process.pid) != first:
        soak.complain("a worker ended, and was replaced")
    for wire in soak.half_open:
        wire.close()
    soak.process.send_signal(signal.SIGTERM)
    if status := soak.process.wait(60):
        soak.complain(f"the server ended with status {status}")
    return _report(soak, memory)


def _report(soak: Soak, memory: dict[int, list[int]]) -> dict[str, Any]:
    quarters = [lows(samples) for samples in memory.values()]
    share = SHARE if soak.seconds >= LONG else SHARE_OF_A_SHORT_RUN
    for first, second, _, after in quarters:
        before = max(first, second)
        if after - before > share * before:
            soak.complain(f"a worker grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    return {
        "requests": sum(soak.statuses.values()),
        "statuses": {str(status): count for status, count in sorted(soak.statuses.items())},
        "swaps": soak.swaps,
        "quarters_mib": [[round(size / 2**20, 1) for size in worker] for worker in quarters],
        "wrong": len(soak.wrong),
        "examples": soak.wrong[:10],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=200.0, help="actions a second of all clients together, at most")
    parser.add_argument("--json", type=Path, help="write the report into this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        registry = Path(scratch) / "registry"
        _publish(registry)
        report = run(Soak(registry, arguments.rate, arguments.seconds))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    for name, value in report.items():
        print(f"{name:14}{value}")
    raise SystemExit(1 if report["wrong"] else 0)


if __name__ == "__main__":
    main()
