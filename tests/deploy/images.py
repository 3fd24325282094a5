"""Images as the project makes them, and variants of them for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.running import ROOT, copied, run, surroundings

#: Debian's client: another one earlier on PATH may know no BuildKit.
DOCKER = "/usr/bin/docker"
#: The house of the README.
ROW = {
    "MSSubClass": 60, "MSZoning": "RL", "LotArea": 9627, "LotConfig": "Inside", "BldgType": "1Fam", "OverallCond": 5,
    "YearBuilt": 1993, "YearRemodAdd": 1994, "Exterior1st": "HdBoard", "BsmtFinSF2": 0.0, "TotalBsmtSF": 996.0,
}  # fmt: skip


@dataclass(frozen=True)
class Image:
    """A pushed image: how a deployment names it, and the version that it says it serves."""

    reference: str
    version: str


def source_of(directory: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """Copy the project as it stands into a repository of its own, with edits of its files (path: old, new)."""
    copied(directory)
    for name, (old, new) in edits.items():
        text = (directory / name).read_text()
        assert text.count(old) == 1, f"{old!r} is not once in {name}"
        (directory / name).write_text(text.replace(old, new))
    git = ("git", "-C", directory, "-c", "user.name=deploy", "-c", "user.email=deploy@example.org")
    run(*git, "init", "-q")
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "As it stands")
    return directory


def build(source: Path, name: str, environment: Mapping[str, str]) -> str:
    """Build the image of a source as ``make image`` does, its bundle taken into the registry first; return its tag."""
    return run(source / "image" / "build.sh", name, cwd=source, environment=environment, seconds=1800).stdout.strip()


def derived(base: str, tag: str, lines: str) -> str:
    """Build an image that is another one but for these lines of a Dockerfile; return its tag."""
    built = subprocess.run(
        [DOCKER, "build", "-q", "-t", tag, "-"], input=f"FROM {base}\n{lines}\n", text=True, capture_output=True,
        env=surroundings(DOCKER_BUILDKIT="1"), check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return tag


def push(tag: str, environment: Mapping[str, str]) -> str:
    """Push an image as ``make push`` does, and return how a deployment names it."""
    return run(ROOT / "image" / "push.sh", tag, environment=environment).stdout.strip()
