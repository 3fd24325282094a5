"""A running ``pegboard serve``, and connections on which anything can be sent."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: Seconds after which something hangs.
PATIENCE = 120.0
MIB = 2**20


class Response(NamedTuple):
    """What came over a wire; the headers' names are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection, on which anything can be sent."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def response(self) -> Response:
        """Read a response; raises ``ConnectionError`` if none comes."""
        first = self.file.readline()
        if not first:
            raise ConnectionError("the connection has ended")
        headers = http.client.parse_headers(self.file)
        body = self.file.read(int(headers.get("Content-Length", 0)))
        return Response(int(first.split()[1]), {name.lower(): value for name, value in headers.items()}, body)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Wire:
        """Send a request with a body of JSON; ``_`` in a header's name stands for ``-``."""
        given = {"Host": "pegboard", "Content-Type": "application/json", "Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return self.send("\r\n".join(lines).encode("latin-1") + body)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        """Send a request, and read the response."""
        return self.request(method, path, body, **headers).response()

    def ended(self) -> bool:
        """Wait until the other side closes; false if bytes come instead."""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Served:
    """A running ``pegboard serve``; ``line`` is its first line of output, ``logged`` what came after it."""

    def __init__(self, cwd: Path, command: list[str], environment: dict[str, str], read: bool) -> None:
        cwd.mkdir(exist_ok=True)
        self.stderr = cwd / "stderr"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
        with self.stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=kept | environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                bufsize=1,
                pipesize=MIB if read else -1,  # the log leaves out what a full pipe does not take
            )
        self.logged: list[str] = []
        self._wires: list[Wire] = []
        self._guard = threading.Timer(PATIENCE, self.process.kill)
        self._guard.start()
        self.line = self._stdout.readline()
        self._guard.cancel()  # from here on each wait has an end of its own
        self._reader = threading.Thread(target=lambda: self.logged.extend(self._stdout))
        if read:
            self._reader.start()

    @property
    def _stdout(self) -> Any:
        return self.process.stdout

    @property
    def address(self) -> tuple[str, int]:
        found = re.search(r"http://([0-9.]+):(\d+)", self.line)
        assert found, f"no address in {self.line!r}: {self.errors}"
        return found[1], int(found[2])

    @property
    def errors(self) -> str:
        return self.stderr.read_text()

    @property
    def complaints(self) -> list[str]:
        """What is on stderr beside news."""
        return [line for line in self.errors.splitlines() if not line.startswith("INFO: ")]

    def wire(self) -> Wire:
        self._wires.append(Wire(self.address))
        return self._wires[-1]

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        wire = self.wire()
        response = wire.ask(method, path, body, **headers)
        wire.close()
        return response

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all samples with these labels."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        samples = [line.rpartition(" ") for line in lines if re.match(rf"{name}[{{ ]", line)]
        return sum(float(value) for sample, _, value in samples if wanted <= set(re.split("[{,}]", sample)))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the server has ended: {self.errors}"
            assert time.monotonic() < give_up, f"it never came to be: {self.errors}"
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Return the ids of the processes that serve beside this one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command(pid)]

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit status when the process, and all that it has written, has come to an end."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE)
        if self._reader.ident:
            self._reader.join(PATIENCE)
        return status

    def stop(self) -> None:
        self._guard.cancel()
        self.process.kill()
        self.wait()
        self._stdout.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close all connections."""
        for wire in self._wires:
            wire.close()


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended, and its parent has taken its status
        return b""
