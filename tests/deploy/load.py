"""A load loop: a few clients that ask for a prediction, again and again, while something else goes on.

It asks loopback addresses only, and ends by itself.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CLIENTS = 4
PAUSE = 0.03
LEAST_PER_SECOND = 5
MOST_SECONDS = 900.0
MOST_REQUESTS = 50_000


@dataclass
class Phase:
    """What clients saw in one phase: answers by version, and failures by what they were."""

    name: str
    seconds: float = 0.0
    versions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self.versions.total() + self.failures.total()


class Load:
    """Clients of a service on this machine, each with one request at a time on connections of its own."""

    def __init__(self, port: int, row: Mapping[str, Any]) -> None:
        self._port = port
        self._body = json.dumps([row])
        self.phases: list[Phase] = []

    @contextmanager
    def during(self, name: str) -> Iterator[Phase]:
        """Ask all the time until the block ends; the phase's counts are whole after it."""
        phase, began, over = Phase(name), time.monotonic(), threading.Event()
        self.phases.append(phase)
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._ask, over) for _ in range(CLIENTS)]
            try:
                yield phase
            finally:
                over.set()
        phase.seconds = time.monotonic() - began
        # A client that got what is no answer at all has ended with an error: it is raised here, and fails the phase.
        for kind, what in [seen for client in clients for seen in client.result()]:
            (phase.versions if kind == "version" else phase.failures)[what] += 1
        assert phase.requests > LEAST_PER_SECOND * phase.seconds, f"{phase}: these clients have seen too little"

    def _ask(self, over: threading.Event) -> list[tuple[str, str]]:
        deadline, seen = time.monotonic() + MOST_SECONDS, list[tuple[str, str]]()
        while not over.wait(PAUSE) and time.monotonic() < deadline and len(seen) < MOST_REQUESTS:
            seen.append(self.ask())
        return seen

    def ask(self) -> tuple[str, str]:
        """Ask once: ``("version", "house-prices/2")``, or ``("failure", why)``."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("POST", "/predict", self._body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answered = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return "failure", type(error).__name__
        finally:
            connection.close()
        if answer.status != 200 or len(json.loads(answered)["predictions"]) != 1:
            return "failure", f"status {answer.status}"
        return "version", answer.headers["X-Model-Version"].split(";")[0]
