"""Eight processes publish and promote at once while others are killed: nothing is lost, doubled, or half there.

``CHAOS_SECONDS`` says for how long, over each of the two stores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pegboard.ledger import Entry
from pegboard.registry import Registry

LOOP = Path(__file__).with_name("publishing_loop.py")
SECONDS = os.environ.get("CHAOS_SECONDS", "15")
WRITERS = 8


@pytest.fixture(params=["file", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "file" else request.getfixturevalue("bucket")


def lost(said: list[tuple[str, str]], entries: tuple[Entry, ...]) -> list[tuple[str, str]]:
    """What a writer was told to be done and the ledger does not say."""
    known = {(entry.bundle, str(entry)) for entry in entries if entry.action == "published"}
    known |= {(entry.nonce, str(entry)) for entry in entries}
    return [each for each in said if each not in known]


@pytest.mark.slow
def test_writers_that_are_killed_at_once_leave_a_ledger_that_verifies(location: str, tmp_path: Path) -> None:
    said_file = tmp_path / "said"
    command = [sys.executable, LOOP, location, "--writers", str(WRITERS), "--seconds", SECONDS, "--seed", "7"]
    done = subprocess.run([*command, "--said", said_file], capture_output=True, text=True, check=True)
    outcome = json.loads(done.stdout)
    assert not outcome["stopped"], done.stderr
    assert outcome["kills"] > WRITERS

    registry = Registry(location)
    entries = registry.ledger.verify().entries
    said = [(what, version) for what, version in map(str.split, said_file.read_text().splitlines())]

    assert len(said) > WRITERS
    assert lost(said, entries) == []
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    published = Counter(entry.bundle for entry in entries if entry.action == "published")
    assert set(published.values()) == {1}
    assert len({entry.nonce for entry in entries}) == len(entries)
    # Each thing that is in the ledger without having been said belongs to a writer that was killed before it could.
    assert len(entries) - len(said) <= outcome["kills"]
    versions = {str(version): version for version in registry.versions()}
    assert len(versions) == len(published)
    for alias in ("staging", "production"):
        version = registry.resolve(f"house@{alias}")
        registry.verify(version)
        assert versions[str(version)].digest == version.digest


def test_the_check_finds_what_was_lost(tmp_path: Path) -> None:
    """The control: a check that finds nothing would pass whatever the store does."""
    assert lost([("digest", "house/1"), ("nonce", "house/1")], ()) == [("digest", "house/1"), ("nonce", "house/1")]
