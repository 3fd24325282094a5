"""A version copied out of the registry: whole, as it was, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard import signing
from pegboard.errors import BundleError
from pegboard.export import export
from pegboard.registry import Registry, Version
from pegboard.signing import Trust

WriteBundle = Callable[..., Path]


@pytest.fixture
def signed(write_bundle: WriteBundle, tmp_path: Path) -> tuple[Registry, Version]:
    """A registry with a version, and a key that has signed it: release.pub."""
    registry = Registry(tmp_path / "registry")
    version = registry.publish(write_bundle(tmp_path))
    signing.generate(tmp_path / "release.key", tmp_path / "release.pub")
    registry.sign(version, *signing.sign(registry.open(version).manifest_bytes(), tmp_path / "release.key"))
    return registry, version


def exported(registry: Registry, version: Version, directory: Path) -> Path:
    export(registry.open(version), registry.signatures(version), directory)
    return directory


def test_another_registry_takes_what_was_exported_with_its_digest_and_signatures(
    signed: tuple[Registry, Version], tmp_path: Path
) -> None:
    ours, version = signed
    directory = exported(ours, version, tmp_path / "new" / "bundle")
    theirs = Registry(tmp_path / "theirs", Trust.of([tmp_path / "release.pub"]))

    taken = theirs.publish(directory)

    assert taken.digest == version.digest
    assert theirs.signatures(taken) == ours.signatures(version) != {}
    theirs.verify(taken)


def test_a_bundle_comes_from_a_bucket_as_from_a_disk(bucket: str, write_bundle: WriteBundle, tmp_path: Path) -> None:
    written = write_bundle(tmp_path)
    registry = Registry(bucket)

    directory = exported(registry, registry.publish(written), tmp_path / "out")

    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        path.name: path.read_bytes() for path in written.iterdir()
    }


def test_who_may_read_the_files_is_the_umasks_matter(signed: tuple[Registry, Version], tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        directory = exported(*signed, tmp_path / "out")
    finally:
        os.umask(before)
    # A server in an image runs as another user than the one that has exported.
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.glob("*.*")} == {0o644}


@pytest.mark.parametrize("there", ["file", "full"])
def test_what_is_there_already_stays_as_it_was(signed: tuple[Registry, Version], tmp_path: Path, there: str) -> None:
    target = tmp_path / "out"
    if there == "full":
        target.mkdir()
    kept = target if there == "file" else target / "mine.txt"
    kept.write_text("mine")

    with pytest.raises(BundleError, match="is there already, and is not empty: name a directory that is not there yet"):
        exported(*signed, target)

    assert kept.read_text() == "mine"


def test_an_empty_directory_is_filled(signed: tuple[Registry, Version], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert (exported(*signed, tmp_path / "out") / "manifest.json").is_file()


def test_of_a_damaged_bundle_nothing_is_written(signed: tuple[Registry, Version], tmp_path: Path) -> None:
    registry, version = signed
    (registry.open(version).directory / "replay.json").write_bytes(b"[]")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(BundleError, match=r"replay\.json is not what the manifest says"):
        exported(registry, version, tmp_path / "out")

    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_fails_in_the_middle_leaves_nothing_behind(
    signed: tuple[Registry, Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_bytes, []

    def full(path: Path, data: Any) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return write(path, data)

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BundleError, match=r"cannot write .*out: No space left on device; name a directory elsewhere"):
        exported(*signed, tmp_path / "out")

    assert written[0].parent.parent == tmp_path, "it had begun, beside the target"
    assert sorted(tmp_path.iterdir()) == before
