"""The command line as a user has it: a process in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--source", "house-prices", "--model", "linear-regression", "--folds", "2")


def run_pegboard(
    directory: Path, arguments: tuple[str, ...], status: int, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    done = subprocess.run(
        [sys.executable, "-m", "pegboard", *arguments],
        cwd=directory,
        env={**ours, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def pegboard(tmp_path: Path) -> Command:
    """Run ``pegboard`` in an empty folder, and expect the exit status that is given."""
    return lambda *arguments, status=0, **environ: run_pegboard(tmp_path, arguments, status, environ)


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder in which the command line has trained once, and what it said."""
    directory = tmp_path_factory.mktemp("trained")
    return directory, run_pegboard(directory, ("train", *QUICK), 0, {})


@pytest.fixture
def trained(training: tuple[Path, object], pegboard: Command, tmp_path: Path) -> Command:
    """Run ``pegboard`` in a folder whose registry holds ``house-prices/1``."""
    shutil.copytree(training[0], tmp_path, dirs_exist_ok=True)
    return pegboard
