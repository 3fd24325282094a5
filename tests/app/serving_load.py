"""Clients in a closed loop, which count what a server loses.

    python serving_load.py HOST PORT BODY_FILE [--clients 16] [--fresh] [--requests 0]

Each client asks again as soon as it has its answer, on a connection that it keeps (``--fresh``: on a new one each
time), until nobody listens any more, its share of ``--requests`` is answered, or standard input ends. A request is
lost if it went out on a fresh connection, or right after a response that did not announce the end of its connection,
and got no whole answer. Once each client has an answer, ``running`` is written; at the end a line of JSON: answered,
lost, the statuses, and for each model version how often each body came.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

PATIENCE = 60.0
#: Seconds; less than a server that ends keeps a quiet connection.
PROMPT = 0.4


class Tally:
    """What all clients have seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.lost: list[str] = []
        self.begun: set[int] = set()
        self.stop = threading.Event()

    def answered(self, client: int, status: int, version: str, body: str) -> None:
        with self.lock:
            self.statuses[status] += 1
            self.answers[version, body] += 1
            self.begun.add(client)


class Connection:
    """One connection, and no more of HTTP than a prediction needs."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.sent = self.heard = time.monotonic()

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body; raises ``ConnectionError`` if they do not come whole."""
        self.sent = time.monotonic()
        self.socket.sendall(request)
        first = self.file.readline()
        headers = dict[str, str]()
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", -1))
        body = self.file.read(length) if length >= 0 else b""
        if not line or len(body) != length:
            raise ConnectionError(f"the answer ends after {first!r} and {len(body)} of {length} bytes")
        self.heard = time.monotonic()
        return int(first.split()[1]), headers, body

    def is_prompt(self) -> bool:
        """Whether the last request came right after what was heard before: a server that ends hangs up on others."""
        return self.sent - self.heard < PROMPT

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def ask_on(number: int, arguments: argparse.Namespace, tally: Tally) -> None:
    """Be a client."""
    body = Path(arguments.body).read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: pegboard\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request = f"{head}\r\n\r\n".encode() + body
    left = arguments.requests // arguments.clients or -1
    connection = None
    while left and not tally.stop.is_set():
        left -= 1
        try:
            connection = connection or Connection(arguments.host, arguments.port)
        except OSError:
            return
        try:
            status, headers, answer = connection.ask(request)
        except OSError as error:
            if connection.is_prompt():
                tally.lost.append(repr(error))
            connection.close()
            connection = None
            continue
        version = headers.get("x-model-version", "").partition(";")[0]
        tally.answered(number, status, version, answer.decode())
        if arguments.fresh or headers.get("connection", "").lower() == "close":
            connection.close()
            connection = None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("body")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    tally = Tally()
    clients = [threading.Thread(target=ask_on, args=(n, arguments, tally)) for n in range(arguments.clients)]
    threading.Thread(target=lambda: (sys.stdin.read(), tally.stop.set()), daemon=True).start()
    for client in clients:
        client.start()
    while len(tally.begun) < len(clients) and any(client.is_alive() for client in clients):
        tally.stop.wait(0.01)
    print("running", flush=True)
    for client in clients:
        client.join()
    versions: dict[str, dict[str, int]] = {}
    for (version, body), times in tally.answers.items():
        versions.setdefault(version, {})[body] = times
    answered = sum(tally.statuses.values())
    print(json.dumps({"answered": answered, "lost": tally.lost, "statuses": tally.statuses, "versions": versions}))


if __name__ == "__main__":
    main()
