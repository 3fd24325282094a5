"""Versions named by where they are: a bundle's directory, and a registry in a bucket."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pegboard import signing
from pegboard.catalog import Catalog
from pegboard.errors import BundleError, RegistryError
from pegboard.registry import Registry
from pegboard.resolvers import BucketVersions, BundleDirectory
from pegboard.signing import Trust
from pegboard.specs import Versions

WriteBundle = Callable[..., Path]


def found(catalog: Catalog, reference: str) -> Versions:
    """What serving asks for a name."""
    resolver = catalog.resolver(reference)
    assert resolver is not None
    return resolver.make("registry/that/is/not/asked", None)


@pytest.fixture
def seventh(write_bundle: WriteBundle, tmp_path: Path) -> Path:
    return write_bundle(tmp_path).rename(tmp_path / "7")


def test_a_directory_is_served_under_its_own_number(catalog: Catalog, seventh: Path) -> None:
    versions = found(catalog, f"bundle:{seventh}")
    version = versions.resolve(f"bundle:{seventh}")
    assert (version.name, version.number, version.aliases) == ("house", 7, ())
    assert versions.open(version).digest == version.digest


@pytest.mark.parametrize(
    ("name", "number"), [("bundle", 0), ("v7", 0), ("007", 7), ("\u00b2", 0), ("\u0667", 0), ("1234567890", 0)]
)
def test_a_directory_whose_name_is_no_number_has_the_number_0(seventh: Path, name: str, number: int) -> None:
    moved = seventh.rename(seventh.with_name(name))
    assert BundleDirectory().resolve(f"bundle:{moved}").number == number


def test_a_link_can_be_moved_to_another_directory(write_bundle: WriteBundle, seventh: Path, tmp_path: Path) -> None:
    eighth = write_bundle(tmp_path, 8).rename(tmp_path / "8")
    link, versions = tmp_path / "current", BundleDirectory()
    link.symlink_to(seventh)
    first = versions.resolve(f"bundle:{link}")
    link.unlink()
    link.symlink_to(eighth)
    second = versions.resolve(f"bundle:{link}")
    assert (first.number, second.number) == (7, 8)
    assert [versions.open(version).digest for version in (first, second)] == [first.digest, second.digest]


def test_a_relative_directory_is_one_of_the_working_directory(
    seventh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert BundleDirectory().resolve("bundle:7").prefix == str(seventh)


def test_a_directory_that_is_no_bundle_is_refused_by_its_name(seventh: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for reference, problem in {
        "bundle:": "'bundle:': there is no directory ''",
        "bundle:/no/where": "there is no directory '/no/where': name that of a bundle; `pegboard models export",
        f"bundle:{seventh}/manifest.json": "there is no directory",
        f"bundle:{tmp_path}/empty": "is no bundle: it holds no manifest.json; `pegboard models export",
    }.items():
        with pytest.raises(RegistryError) as refused:
            BundleDirectory().resolve(reference)
        assert problem in str(refused.value)


def test_a_name_that_no_registry_would_take_is_not_served(write_bundle: WriteBundle, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"manifest\.json: .*'No Name'"):
        BundleDirectory().resolve(f"bundle:{write_bundle(tmp_path, name='No Name')}")


@pytest.mark.parametrize("damage", ["replay.json", "stranger.txt", "manifest.json"])
def test_a_bundle_that_was_altered_is_not_opened(seventh: Path, damage: str) -> None:
    version = BundleDirectory().resolve(f"bundle:{seventh}")
    with (seventh / damage).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=damage.removesuffix(".json").removesuffix(".txt")):
        BundleDirectory().open(version)


def test_only_what_a_trusted_key_has_signed_is_opened_from_a_directory(seventh: Path, tmp_path: Path) -> None:
    for who in ("me", "other"):
        signing.generate(tmp_path / f"{who}.key", tmp_path / f"{who}.pub")
    mine, other = (BundleDirectory(Trust.of([tmp_path / f"{who}.pub"])) for who in ("me", "other"))
    version = mine.resolve(f"bundle:{seventh}")
    with pytest.raises(BundleError, match="is not signed"):
        mine.open(version)
    name, signature = signing.sign((seventh / "manifest.json").read_bytes(), tmp_path / "me.key")
    (seventh / "signatures").mkdir()
    (seventh / "signatures" / name).write_bytes(signature)
    assert mine.open(version).digest == version.digest
    with pytest.raises(BundleError, match="not trusted here"):
        other.open(version)


@pytest.fixture
def stored(bucket: str, write_bundle: WriteBundle, tmp_path: Path) -> str:
    """A registry in a bucket with house/1 and house/2, of which the first is in production; its location."""
    registry = Registry(bucket)
    for mark in (1, 2):
        registry.publish(write_bundle(tmp_path, mark))
    registry.promote("house/1", "production")
    return bucket


@pytest.mark.parametrize(("label", "number"), [("house@production", 1), ("house/1", 1), ("house/2", 2), ("house", 2)])
def test_location_and_name_are_one_name(catalog: Catalog, stored: str, label: str, number: int) -> None:
    reference = f"{stored}/{label}"
    versions = found(catalog, reference)
    version = versions.resolve(reference)
    assert version == Registry(stored).resolve(label)
    assert version.number == number
    assert versions.open(version).digest == version.digest


def test_a_registry_may_be_a_whole_bucket_or_lie_deep_in_one(
    stored: str, write_bundle: WriteBundle, tmp_path: Path
) -> None:
    bucket = stored.removesuffix("/registry")
    for location in (bucket, f"{bucket}/2026/Team.a/prices_1"):
        published = Registry(location).publish(write_bundle(tmp_path, location))
        versions = BucketVersions()
        assert versions.resolve(f"{location}/house/1") == versions.resolve(f"{location}/house") == published
        assert versions.open(published).digest == published.digest


@pytest.mark.parametrize("reference", ["s3://", "s3://models", "s3://models/", "s3://models/House", "s3://models/a@b/c",
                                       "s3:///house", "s3://models/house@", "s3://models/p/house@a@b"])  # fmt: skip
def test_a_name_that_lacks_a_part_is_refused_with_how_it_is_written(reference: str) -> None:
    with pytest.raises(RegistryError, match="names no version in a bucket: write s3://bucket/prefix/name@alias, "):
        BucketVersions().resolve(reference)


def test_a_location_alone_is_refused_with_what_is_missing(stored: str) -> None:
    with pytest.raises(RegistryError) as refused:
        BucketVersions().resolve(stored)
    assert f"'{stored}': {stored.removesuffix('/registry')} holds no model 'registry'" in str(refused.value)
    assert "write s3://bucket/prefix/name@alias" in str(refused.value)
    with pytest.raises(RegistryError, match="house has no alias 'prodction'; did you mean 'production'"):
        BucketVersions().resolve(f"{stored}/house@prodction")


def test_what_was_read_once_is_known_while_the_bucket_is_away(stored: str, gateway: object, tmp_path: Path) -> None:
    versions = BucketVersions()
    known = versions.resolve(f"{stored}/house@production")
    for file in versions.open(known).manifest["files"]:
        versions.open(known).read(file)
    gateway.allowance = 0  # type: ignore[attr-defined]
    for each in (versions, BucketVersions()):
        assert each.resolve(f"{stored}/house@production") == known
        assert each.open(known).digest == known.digest
    gateway.allowance = sys.maxsize  # type: ignore[attr-defined]
    shutil.rmtree(tmp_path / "cache")
    gateway.allowance = 0  # type: ignore[attr-defined]
    with pytest.raises(RegistryError) as away:
        BucketVersions().resolve(f"{stored}/house@production")
    assert "write s3://" not in str(away.value), "nothing is wrong with the name"
