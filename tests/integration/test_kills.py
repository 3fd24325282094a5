"""Writers killed at any moment leave a registry in which everything that exists is whole."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard import PegboardError
from pegboard import bundle as bundles
from pegboard.bundle import MANIFEST, PIPELINE
from pegboard.registry import Registry

LOOP = Path(__file__).with_name("publishing_loop.py")
MANIFEST_OF_LOOP = runpy.run_path(str(LOOP))["MANIFEST"]
ROUNDS, KILLS_A_ROUND = 5, 50


def kill_writers(root: Path, kills: int, seed: int, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(LOOP), str(root), "--kills", str(kills), "--seed", str(seed), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout) | {"errors": done.stderr}


def findings(root: Path) -> list[str]:
    """Everything that is wrong with a registry; asks the files first, then the registry itself."""
    files = sorted((root / "ledger").iterdir())
    found = [f"ledger/{file.name} is empty" for file in files if file.stat().st_size == 0]
    if [file.name for file in files] != [f"{number:08d}.json" for number in range(1, len(files) + 1)]:
        found.append("the ledger's numbers have gaps")
    registry = Registry(root)
    try:
        versions, aliases = registry.versions(), registry.ledger.state().aliases
    except PegboardError as error:
        return [*found, str(error)]
    for name in {version.name for version in versions}:
        numbers = [version.number for version in versions if version.name == name]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{name} has the versions {numbers}")
    references = [str(version) for version in versions] + [f"{name}@{alias}" for name, alias in aliases]
    for reference in references:
        try:
            registry.verify(registry.resolve(reference))
        except PegboardError as error:
            found.append(f"{reference}: {error}")
    return found


def orphans(root: Path) -> list[Path]:
    """Bundles that were begun, or even whole, and never became a version."""
    known = {root / version.prefix for version in Registry(root).versions()}
    return [directory for directory in (root / "bundles").glob("*/*") if directory not in known]


def publish(root: Path, scratch: Path, mark: str) -> str:
    manifest = {**MANIFEST_OF_LOOP, "mark": mark}
    bundle = bundles.write(scratch / mark, manifest, {PIPELINE: b"never unpickled here"})
    return str(Registry(root).publish(bundle.directory))


@pytest.mark.slow
def test_no_kill_leaves_a_broken_version_an_empty_entry_or_an_alias_that_points_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    kills = inside = 0
    for seed in range(ROUNDS):
        round_ = kill_writers(root, KILLS_A_ROUND, seed)
        assert not round_["stopped"], round_["errors"]
        assert findings(root) == []
        kills, inside = kills + round_["kills"], inside + round_["inside"]

    assert kills >= 200
    assert inside >= 50
    versions = Registry(root).versions("house")
    assert len(versions) >= ROUNDS
    assert Registry(root).resolve("house@staging") in versions
    assert orphans(root), "no kill has struck between a bundle's first file and its ledger entry"

    assert publish(root, tmp_path, "after") == f"house/{len(versions) + 1}"
    assert Registry(root).promote("house", "staging").version == len(versions) + 1
    assert findings(root) == []


@pytest.mark.slow
def test_the_same_kills_find_out_a_store_whose_keys_appear_before_their_content(tmp_path: Path) -> None:
    """The control: a test that cannot see damage would pass whatever the store does."""
    root = tmp_path / "registry"
    round_ = kill_writers(root, 200, 0, "--writers", "1", "--two-steps")

    assert round_["stopped"], "no writer has come upon the damage in 200 kills"
    assert "is not a ledger entry" in round_["errors"]
    assert any("is not a ledger entry" in finding for finding in findings(root))


def empty_the_last_entry(root: Path) -> None:
    max((root / "ledger").iterdir()).write_bytes(b"")


def cut_the_last_entry(root: Path) -> None:
    last = max((root / "ledger").iterdir())
    last.write_bytes(last.read_bytes()[:100])


def lose_the_second_entry(root: Path) -> None:
    (root / "ledger" / "00000002.json").unlink()


def point_an_alias_nowhere(root: Path) -> None:
    last = max((root / "ledger").iterdir())
    last.write_text(json.dumps(json.loads(last.read_bytes()) | {"version": 9}))


def damaged(file: str, damage: Callable[[Path], object]) -> Callable[[Path], None]:
    return lambda root: damage(Registry(root).open(Registry(root).resolve("house/1")).directory / file) and None


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (empty_the_last_entry, ["ledger/00000003.json is empty", "00000003.json is not a ledger entry: "]),
        (cut_the_last_entry, ["00000003.json is not a ledger entry: "]),
        (lose_the_second_entry, ["the ledger's numbers have gaps", "ledger entry 2 is missing"]),
        (point_an_alias_nowhere, ["points 'staging' at house/9, which was never published"]),
        (damaged(PIPELINE, Path.unlink), ["house/1: ", "house@staging: "]),
        (damaged(MANIFEST, Path.unlink), ["house/1: ", "house@staging: "]),
        (damaged(PIPELINE, lambda file: file.write_bytes(b"never")), ["house/1: ", "house@staging: "]),
        (damaged(MANIFEST, lambda file: file.write_bytes(b"")), ["house/1: ", "house@staging: "]),
    ],
)
def test_what_a_kill_could_leave_is_found(tmp_path: Path, damage: Callable[[Path], None], expected: list[str]) -> None:
    root = tmp_path / "registry"
    for mark in ("one", "two"):
        publish(root, tmp_path, mark)
    Registry(root).promote("house/1", "staging")
    assert findings(root) == []

    damage(root)

    found = findings(root)
    assert len(found) == len(expected)
    for finding, part in zip(found, expected, strict=True):
        assert part in finding
