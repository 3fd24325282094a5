"""What GitHub reads names what is there, and all of it."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from tests.deploy.running import ROOT, tracked

#: What is never updated: bad examples for the linters, and what numbers in the documentation were measured with.
FIXED = ("tests/deploy/fixtures/", "benchmarks/")
DEPENDABOT = ROOT / ".github" / "dependabot.yml"


def updates() -> dict[str, Any]:
    read = yaml.safe_load(DEPENDABOT.read_text(encoding="utf-8"))["updates"]
    return {update["package-ecosystem"]: update for update in read}


@pytest.mark.parametrize(
    ("ecosystem", "manifests"),
    [
        ("pip", ["*setup.cfg", "*requirements*.txt", "*requirements/*.txt", "constraints.txt"]),
        ("docker", ["*Dockerfile"]),
        ("docker-compose", ["compose.yaml"]),
        ("terraform", ["*.tf"]),
    ],
)
def test_dependabot_looks_at_every_directory_and_at_no_other(ecosystem: str, manifests: list[str]) -> None:
    update = updates()[ecosystem]
    listed = update.get("directories") or [update["directory"]]
    files = [name for name in tracked() if any(fnmatch(name, pattern) for pattern in manifests)]
    there = {f"/{PurePosixPath(name).parent}".removesuffix(".") for name in files if not name.startswith(FIXED)}
    assert len(there) >= 1
    assert {name for name in there if not any(same(name, pattern) for pattern in listed)} == set()
    assert {pattern for pattern in listed if not any(same(name, pattern) for name in there)} == set()


def same(directory: str, pattern: str) -> bool:
    """Say whether a directory is one that the pattern names, whose ``*`` stands for one level."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]+"), directory) is not None


def test_dependabot_waits_groups_and_leaves_our_own_distributions_alone() -> None:
    assert set(updates()) == {"github-actions", "npm", "pip", "docker", "docker-compose", "terraform"}
    for update in updates().values():
        assert update["schedule"] == {"interval": "weekly"}
        assert update["cooldown"]["default-days"] >= 7
        assert [group["patterns"] for group in update["groups"].values()] == [["*"]]
    assert {rule["dependency-name"] for rule in updates()["pip"]["ignore"]} == {"pegboard", "pegboard-*"}


def test_code_owners_are_asked_for_files_that_are_there() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS.example").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert rules[0][0] == "*"
    for path, *owners in rules[1:]:
        assert (ROOT / path.strip("/")).is_dir() if path.endswith("/") else (ROOT / path.strip("/")).is_file(), path
        assert owners
        assert all(re.fullmatch(r"@OWNER/[A-Z]+", owner) for owner in owners)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", ".github/pull_request_template.md"])
def test_scripts_and_targets_that_are_named_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for path in re.findall(r"(?:release|\.github/workflows|framework/pegboard|tests)/[\w/-]+\.(?:py|yml)", text):
        assert (ROOT / path).is_file(), path
