"""A server in a process of its own, for as long as the gate asks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from pegboard.errors import PegboardError

#: Seconds until a server answers, and until one ends that was told to.
START = 120.0
END = 10.0
#: The variables that say what a server serves, and how.
OTHERWISE = ("PEGBOARD_SERVE_", "PEGBOARD_ENV", "PEGBOARD_MODEL")
#: The last lines of what a server says that does not start.
LINES = 5


@contextmanager
def served(version: str, registry: str, trusted_keys: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Serve a version on a free port of this machine, and give the address and the process's id.

    Raises :class:`~pegboard.errors.PegboardError` with the server's last words if it does not start.
    """
    keys = [argument for key in trusted_keys for argument in ("--trusted-key", key)]
    command = [sys.executable, "-m", "pegboard", "serve", version, "--registry", registry]
    command += ["--host", "127.0.0.1", "--port", "0", "--processes", "1", "--no-access-log", *keys]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603 - our own command
            command, env=_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield _address(process, errors), process.pid
        finally:
            _end(process)


def _environ() -> dict[str, str]:
    """Return the variables without those that would serve something else, or ask clients for tokens."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERWISE)}


def _address(process: subprocess.Popen[str], errors: IO[str]) -> str:
    late = threading.Timer(START, process.kill)
    late.start()
    try:
        said = process.stdout.readline() if process.stdout else ""
    finally:
        late.cancel()
    if (found := re.search(r" on (http://\S+)", said)) is None:
        process.kill()
        process.wait()
        errors.seek(0)
        last = " / ".join(errors.read().strip().splitlines()[-LINES:])
        raise PegboardError(f"`pegboard serve` does not start: {last or f'it says nothing within {START:.0f} s'}")
    return found[1]


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
