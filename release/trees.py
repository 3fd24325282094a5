"""Clean copies of the sources, and what is built from them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from family import ROOT

#: Seconds that one distribution may take.
TIMEOUT = 600
DAY = 24 * 60 * 60


class Refused(Exception):
    """Why nothing can be released from here."""


@dataclass(frozen=True)
class Surroundings:
    """What a build finds around it, and what must not matter to it."""

    name: str
    umask: int
    #: Days by which the files' times lie behind the commit's.
    age: int
    environment: tuple[tuple[str, str], ...]

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment for a command."""
        return {**os.environ, **dict(self.environment), **more}


FIRST = Surroundings("first", 0o022, 0, (("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("PYTHONHASHSEED", "1")))
# Without these two, Python turns the locale C into UTF-8.
ASCII = (("LC_ALL", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0"))
SECOND = Surroundings("second", 0o077, 400, (("TZ", "Pacific/Kiritimati"), ("PYTHONHASHSEED", "2"), *ASCII))


def committed(to: Path, under: Surroundings, epoch: int) -> None:
    """Write the last commit's files, and nothing else, to a directory that is not there yet."""
    to.mkdir(parents=True)
    archive = run(["git", "-C", str(ROOT), "archive", "--format=tar", "HEAD"])
    run(["tar", "-x", "-C", str(to)], given=archive, umask=under.umask)
    for number, path in enumerate(sorted(to.rglob("*"))):
        os.utime(path, times=(when := epoch - under.age * DAY - (number if under.age else 0), when))


def working(to: Path) -> None:
    """Write the files that git knows or would take, as they are now, to a directory that is not there yet."""
    listed = run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((ROOT / name).read_bytes())


def package(source: Path, out: Path, under: Surroundings = FIRST, epoch: int | None = None, only: str = "") -> None:
    """Build the sdist of one directory, and the wheel from it; with ``only="--wheel"`` the wheel alone.

    The backend is the one that is installed beside ``uv`` in this environment: no other is downloaded.
    """
    command = [sys.executable, "-m", "uv", "build", "--no-config", "--offline", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(out), *([only] if only else []), str(source)]
    more = {} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)}
    run(command, umask=under.umask, environment=under.variables(**more))
    # uv hides its output from git.
    (out / ".gitignore").unlink(missing_ok=True)


def run(
    command: Sequence[str | Path], given: bytes = b"", umask: int = -1, environment: dict[str, str] | None = None
) -> bytes:
    """Run a command and return its standard output; what it said when it failed is in the error."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, input=given, umask=umask, env=environment, capture_output=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise Refused(f"{' '.join(str(word) for word in command)}: exit status {done.returncode}\n{said}")
    return done.stdout
