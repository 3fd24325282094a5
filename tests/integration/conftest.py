"""The command line as a user has it: a process in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
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
        timeout=900,
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


class Environment:
    """A throwaway environment that sees the packages of this one, and can install and uninstall its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        venv.create(directory / "venv", with_pip=True, symlinks=True)
        self.python = directory / "venv" / "bin" / "python"
        (site,) = (directory / "venv" / "lib").glob("python*/site-packages")
        theirs = sysconfig.get_path("purelib")
        (site / "outer.pth").write_text(f"import site; site.addsitedir({theirs!r})\n")

    def run(self, *arguments: str) -> str:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
        done = subprocess.run(
            [self.python, "-m", *arguments],
            cwd=self.directory,
            env=ours,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *distributions: str) -> None:
        self.run("pip", "install", "--quiet", *(f"./{d}" for d in distributions))

    def uninstall(self, *distributions: str) -> None:
        self.run("pip", "uninstall", "--quiet", "--yes", *distributions)

    def names(self, kind: str) -> set[str]:
        listed = json.loads(self.run("pegboard", "plugins", "list", "--json"))
        assert listed["problems"] == []
        return {thing["name"] for thing in listed["registered"] if thing["kind"] == kind}


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Make a throwaway environment, in a directory that is called about so."""
    return lambda name: Environment(tmp_path_factory.mktemp(name))
