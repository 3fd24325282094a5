"""A server's processes: started as a group, asked, looked at through /proc, ended as a group."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from environments import activated, tail
from models import Model
from servers import Place, Server

START_WITHIN = 120.0
END_WITHIN = 10.0
TOLERANCE = 1e-9
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class ServerFailed(Exception):
    """A server that did not start, answered wrongly, or lost requests."""


class Running:
    """A running server. Entering waits for the first 200, after which ``cold_start`` is the seconds it took."""

    def __init__(self, server: Server, model: Model, python: Path, directory: Path) -> None:
        self.server, self.model = server, model
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.log = directory / "log"
        self.place = Place(python, _free_ports(), directory, model)
        self.cold_start = float("nan")

    def __enter__(self) -> Self:
        try:
            command = self.server.start(self.place)
        except subprocess.CalledProcessError as error:
            raise ServerFailed(f"could not be prepared: {error}\n{error.stderr[-2000:]}") from error
        environment = activated(self.place.python) | dict(self.server.variables(self.place))
        began = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.place.directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_for_first_answer(began)
            self.check()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self) -> tuple[int, bytes]:
        """Send the request once; return the status and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=30)
        with contextlib.closing(connection):
            body = self.server.request(self.model)
            connection.request("POST", self.server.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def check(self) -> None:
        """Raise :class:`ServerFailed` unless the prediction is the pipeline's own, to 1e-9."""
        status, body = self.ask()
        if status != http.HTTPStatus.OK:
            raise ServerFailed(f"answers {status}: {body[:500]!r}")
        if self.server.exact:
            got, expected = float(self.server.answer(json.loads(body))), self.model.expected
            if not abs(got - expected) <= TOLERANCE * abs(expected):
                raise ServerFailed(f"predicts {got!r} where the pipeline says {expected!r}")

    def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, that the process tree has used, children that ended included."""
        # utime, stime, cutime and cstime are the 12th to 15th fields after the command's name.
        return sum(sum(map(int, stat[11:15])) for stat in self._tree().values()) / TICK

    def resident_bytes(self) -> int:
        """Return the resident memory of the process tree; pages that processes share count for each of them."""
        return sum(int(stat[21]) for stat in self._tree().values()) * PAGE

    def end(self) -> None:
        """End every process that was started: SIGTERM to the group, and SIGKILL to what is left of the tree."""
        started = set(self._tree())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_WITHIN)
        for pid in (started | {self.process.pid}) & set(_processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def failure(self, error: Exception) -> str:
        """Return what to report of a failure: the error and the tail of the server's log."""
        return f"{error}\n{tail(self.log)}" if self.log.exists() else str(error)

    def _wait_for_first_answer(self, began: float) -> None:
        while time.perf_counter() < began + START_WITHIN:
            if self.process.poll() is not None:
                raise ServerFailed(f"ended with status {self.process.returncode} before it answered")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask()[0] == http.HTTPStatus.OK:
                    self.cold_start = time.perf_counter() - began
                    return
            time.sleep(0.01)
        raise ServerFailed(f"did not answer 200 within {START_WITHIN:.0f} s")

    def _tree(self) -> dict[int, list[str]]:
        """Return the processes of the server by pid: its session, and all their descendants."""
        processes = _processes()
        root = str(self.process.pid)
        tree = {pid: stat for pid, stat in processes.items() if root in (str(pid), stat[3])}
        while more := {p: s for p, s in processes.items() if p not in tree and int(s[1]) in tree}:
            tree |= more
        return tree


def _processes() -> dict[int, list[str]]:
    """Return the fields of /proc/PID/stat after the command's name, by pid; zombies are left out."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                found[int(path.parent.name)] = fields
    return found


def _free_ports() -> tuple[int, int, int]:
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(socket.socket()) for _ in range(3))
        for taken in (first, second, third):
            taken.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1], third.getsockname()[1]
