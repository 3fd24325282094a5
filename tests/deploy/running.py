"""Commands as a test runs them: with a limit, and with everything they said when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The command of the environment that the tests run in.
PEGBOARD = Path(sys.executable).with_name("pegboard")
# What the framework's tests set for themselves, or a developer's shell holds, is not what an operator has.
DROPPED = ("PEGBOARD_", "AWS_", "ANSIBLE_", "TF_", "DOCKER_", "GITHUB_", "GH_", "MAKE", "MFLAGS")


def surroundings(**more: str) -> dict[str, str]:
    """Return the environment of a command: this one's, without settings of our own, and with what is given."""
    return {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)} | more


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    expected: int | None = 0,
    seconds: float = 900,
) -> subprocess.CompletedProcess[str]:
    """Run a command, and fail with what it said if its exit status is not ``expected`` (``None``: any is)."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=dict(environment or surroundings()), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    if expected is not None and done.returncode != expected:
        said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}, not {expected}:\n{said}")
    return done


def tracked(*patterns: str) -> list[str]:
    """Return the names of the files that git knows, or would take, and that are there."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns).stdout.split("\0")
    return sorted(name for name in listed if name and (ROOT / name).is_file())


def copied(to: Path, *patterns: str) -> Path:
    """Copy the project as it stands, or that part of it."""
    for name in tracked(*patterns):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return to


def checked(*command: str | Path, cwd: Path = ROOT, expected: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a tool that a machine may lack; CI must not."""
    if not shutil.which(command[0]):
        why = f"{command[0]} is not on PATH: `make gates` installs it, and puts it there"
        pytest.fail(why) if "CI" in os.environ else pytest.skip(why)
    settings = surroundings(ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg"), ANSIBLE_NOCOLOR="1", NO_COLOR="1")
    return run(*command, cwd=cwd, environment=settings, expected=expected)


def apart(tool: str) -> Path:
    """Return where a tool's commands are: in an environment of its own, which is made on first use."""
    wanted = Path(__file__).parent / "requirements" / f"{tool}.txt"
    home = ROOT / "build" / "deploy" / tool
    mark = home / "installed"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted.read_text(encoding="utf-8"):
        shutil.rmtree(home, ignore_errors=True)
        run(sys.executable, "-m", "venv", home)
        run(home / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", wanted)
        shutil.copyfile(wanted, mark)
    return home / "bin"


def wait_for(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds, and fail with ``what`` if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.2)
