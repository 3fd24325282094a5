"""``act`` runs the job ``test`` of ``test.yml`` as GitHub would, with stand-ins for the actions: here, to its end."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.deploy.images import source_of
from tests.deploy.running import ROOT, checked, run
from tests.workflows.rules import PINNED, USED, Workflow

TEST = ROOT / ".github" / "workflows" / "test.yml"
#: The smallest part of the tests, which is tested as every other one is.
PART = "pegboard-sklearn"
NOTHING = """\
name: Nothing
description: Stands in for an action
runs:
  using: composite
  steps:
    - shell: bash
      run: echo "stand-in for $GITHUB_ACTION_REPOSITORY"
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> list[str]:
    """Return the options that let an action which does nothing stand in for each that the workflow uses."""
    directory = tmp_path / "nothing"
    directory.mkdir()
    (directory / "action.yml").write_text(NOTHING)
    used = {action for action, _ in USED.findall(Workflow(TEST).text) if PINNED.fullmatch(action)}
    assert used
    return [f"--local-repository={action}={directory}" for action in sorted(used)]


def act(directory: Path, stand_in: list[str], tmp_path: Path, expected: int) -> str:
    """Run the job for one cell of its matrix, on this machine itself; act copies the directory to where it runs."""
    done = checked(
        "act", "pull_request", "--job", "test", "--workflows", directory / ".github" / "workflows" / "test.yml",
        "--directory", directory, "--matrix", f"part:{PART}", "--matrix", "python:3.11",
        "--platform", "ubuntu-24.04=-self-hosted", "--pull=false", "--action-offline-mode", "--no-cache-server",
        "--action-cache-path", tmp_path / "act", "--env", f"PYTHON={sys.executable}", *stand_in, expected=expected,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_job_comes_to_a_green_end(stand_in: list[str], tmp_path: Path) -> None:
    copy = source_of(tmp_path / "clone", {})
    said = act(copy, stand_in, tmp_path, expected=0)
    assert "Job succeeded" in said
    for action in ("setup-python", "upload-artifact"):
        assert f"stand-in for actions/{action}" in said
    assert re.search(r"\b[1-9]\d* passed", said)


def test_a_test_that_fails_turns_it_red(stand_in: list[str], tmp_path: Path) -> None:
    copy = tmp_path / "red"
    (copy / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(TEST, copy / ".github" / "workflows")
    (copy / "Makefile").write_text('test:\n\t@echo "1 failed of $(PART)"; exit 1\n')
    run("git", "init", "--quiet", copy)
    said = act(copy, stand_in, tmp_path, expected=1)
    assert "Job failed" in said
    assert f"1 failed of {PART}" in said
    assert "stand-in for actions/upload-artifact" not in said
