"""Copies of the repository that a test may break, and the release's scripts run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.deploy.running import run

#: What the distributions are made of, and the scripts.
PARTS = (
    ".gitignore",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "framework",
    "app",
    "plugins",
    "release",
)


def python() -> Path:
    """Return the Python of the environment with the release's tools, which a machine may lack; CI must not."""
    if (tool := shutil.which("twine")) is None:
        why = "twine is not on PATH: pip install --require-hashes -r release/requirements.txt, and put that on PATH"
        if "CI" in os.environ:
            pytest.fail(why)
        pytest.skip(why)
    return Path(tool).with_name("python")


def committed(repository: Path) -> Path:
    """Make a copy a git repository with one commit, as old as this test is."""
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")
    run(*git, "init", "--quiet", cwd=repository)
    run(*git, "add", "--all", cwd=repository)
    run(*git, "commit", "--quiet", "--message", "all", cwd=repository)
    return repository


def script(
    repository: Path, name: str, *words: str | Path, umask: int = -1, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts, whatever its exit status."""
    return subprocess.run(
        [python(), repository / "release" / name, *words], cwd=repository, env={**os.environ, **more},
        umask=umask, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def edited(path: Path, change: Callable[[str], str]) -> None:
    """Change a file's text, and fail where that changes nothing."""
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"{path}: the test changes nothing"
    path.write_text(after, encoding="utf-8")


def contents(repository: Path) -> dict[str, bytes]:
    """Return every file of a copy."""
    return {str(path.relative_to(repository)): path.read_bytes() for path in repository.rglob("*") if path.is_file()}
