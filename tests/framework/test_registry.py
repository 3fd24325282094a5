"""The registry: numbers in turn, references that resolve, and nothing served that is not what was published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pegboard import PegboardError
from pegboard import bundle as bundles
from pegboard.bundle import MANIFEST, PIPELINE, REPLAY
from pegboard.errors import BundleError, RegistryError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.registry import Registry, Version
from pegboard.signature import Feature, Signature

SIGNATURE = Signature("regression", (Feature("area", "number"),), "price").to_dict()
BOARD = Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0))]).to_dict()
MALFORMED = ["", "../x", "a/b/c", "A", "house/", "house@", "house/-1", "house/1.0", "house/x", "house@a@b", " house"]
MALFORMED += ["house/1@staging", "house@../x", "house\n", "-house", "house/1234567890", "house/\u0661", "häuser"]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def bundle(tmp_path: Path, name: str = "house", mark: int = 1) -> Path:
    """Write a whole bundle (its pipeline is no pickle: a registry never looks inside); each mark has its digest."""
    manifest = {"name": name, "model": "linear", "signature": SIGNATURE, "leaderboard": BOARD, "libraries": {}} | {
        "metrics": {},
        "data": {},
        "python": "3",
        "plugins": [],
        "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
    }
    files = {PIPELINE: b"pipeline %d" % mark, REPLAY: b"{}"}
    return bundles.write(tmp_path / f"{name}-{mark}", manifest, files).directory


def publish(registry: Registry, tmp_path: Path, name: str = "house", versions: int = 1) -> list[Version]:
    return [registry.publish(bundle(tmp_path, name, mark)) for mark in range(1, versions + 1)]


def contents(registry: Registry) -> dict[str, bytes]:
    root = registry.store.root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refusal(act: Callable[[], object], error: type[PegboardError] = RegistryError) -> str:
    with pytest.raises(error) as refused:
        act()
    return str(refused.value)


def test_a_registry_that_does_not_exist_yet_is_empty_and_reading_it_makes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "none")

    assert registry.versions() == registry.versions("house") == []
    assert registry.champion("house") is None
    assert refusal(lambda: registry.resolve("house")) == (
        f"{tmp_path / 'none'} holds no model 'house'; `pegboard train` publishes one"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_is_a_file_is_refused_by_its_place(tmp_path: Path) -> None:
    place = tmp_path / "models.zip"
    place.write_bytes(b"PK")
    directory = bundle(tmp_path)

    for act in (Registry(place).versions, lambda: Registry(place).publish(directory)):
        assert str(place) in refusal(act)


def test_versions_of_a_name_are_numbered_from_one(registry: Registry, tmp_path: Path) -> None:
    assert [str(v) for v in publish(registry, tmp_path, "house", 3)] == ["house/1", "house/2", "house/3"]
    assert [str(v) for v in publish(registry, tmp_path, "wine", 1)] == ["wine/1"]


def test_versions_are_listed_by_name_and_then_by_number(registry: Registry, tmp_path: Path) -> None:
    published = publish(registry, tmp_path, "wine", 11) + publish(registry, tmp_path, "house", 2)

    assert [str(v) for v in registry.versions()] == ["house/1", "house/2", *(f"wine/{n}" for n in range(1, 12))]
    assert registry.versions("wine") == published[:11]
    assert registry.versions("beer") == []


def test_a_version_is_the_bundle_that_was_published(registry: Registry, tmp_path: Path) -> None:
    directory = bundle(tmp_path)

    version = registry.publish(directory, reason="nightly")

    opened = registry.open(version)
    assert version.digest == opened.digest == hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    assert [(e.at, e.actor) for e in registry.ledger.entries()] == [(version.published_at, version.actor)]
    assert opened.directory.is_relative_to(registry.store.root)
    assert {path.name: path.read_bytes() for path in opened.directory.iterdir()} == {
        path.name: path.read_bytes() for path in directory.iterdir()
    }
    assert [entry.reason for entry in registry.ledger.entries()] == ["nightly"]
    registry.verify(version)


def test_the_same_bundle_again_is_the_same_version_and_writes_nothing(registry: Registry, tmp_path: Path) -> None:
    first, _ = publish(registry, tmp_path, versions=2)
    before = contents(registry)

    assert registry.publish(bundle(tmp_path, mark=1)) == first
    assert contents(registry) == before


def test_of_two_who_publish_one_bundle_at_once_the_second_is_told(registry: Registry, tmp_path: Path) -> None:
    directory = bundle(tmp_path)
    create, other = registry.store.create, []

    def create_after_another(key: str, data: bytes) -> bool:
        if key.endswith(MANIFEST):
            other.append(Registry(registry.store.root).publish(directory))
        return create(key, data)

    registry.store.create = create_after_another

    assert "another writer has just published this bundle of 'house'" in refusal(lambda: registry.publish(directory))
    assert registry.versions() == other
    assert registry.publish(directory) == other[0]


def test_references_resolve_by_name_number_alias_and_latest(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, versions=12)
    publish(registry, tmp_path, "wine", 1)
    registry.promote("house/2", "staging")

    expected = {"house": 12, "house/2": 2, "house/12": 12, "house/007": 7, "house@latest": 12, "house@staging": 2}
    assert {reference: registry.resolve(reference).number for reference in expected} == expected
    assert {registry.resolve(reference).name for reference in expected} == {"house"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("house-price", "{root} holds no model 'house-price'; did you mean 'house-prices'?"),
        ("beer", "{root} holds no model 'beer'; `pegboard train` publishes one"),
        ("house-prices/4", "house-prices has versions 1 to 3, and no 4"),
        ("house-prices/0", "house-prices has versions 1 to 3, and no 0"),
        ("house-prices@stagin", "house-prices has no alias 'stagin'; did you mean 'staging'?"),
        ("house-prices@xyz", "house-prices has no alias 'xyz'"),
    ],
)
def test_a_refusal_names_what_is_near(registry: Registry, tmp_path: Path, reference: str, message: str) -> None:
    publish(registry, tmp_path, "house-prices", 3)
    registry.promote("house-prices/2", "staging")
    assert refusal(lambda: registry.resolve(reference)) == message.format(root=registry.store.root)


@pytest.mark.parametrize("reference", MALFORMED)
def test_a_malformed_reference_is_refused_by_form(registry: Registry, tmp_path: Path, reference: str) -> None:
    publish(registry, tmp_path)
    expected = f"{reference!r} is not a version: write name, name/7 or name@alias"
    assert refusal(lambda: registry.resolve(reference)) == expected
    assert refusal(lambda: registry.promote(reference, "staging")) == expected


def test_promoting_moves_an_alias_and_says_so_in_the_version(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, versions=2)

    assert str(registry.promote("house/1", "staging", reason="looks good")) == "house/1"
    assert str(registry.promote("house@staging", "production")) == "house/1"
    assert registry.resolve("house/1").aliases == ("production", "staging")
    assert registry.promote("house", "staging").version == 2

    aliases = [(str(v), v.aliases) for v in registry.versions()]
    assert aliases == [("house/1", ("production",)), ("house/2", ("staging",))]
    assert [entry.reason for entry in registry.ledger.entries()] == ["", "", "looks good", "", ""]


def test_an_alias_belongs_to_one_name(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "house", 2)
    publish(registry, tmp_path, "wine", 1)
    registry.promote("house/2", "staging")

    assert refusal(lambda: registry.resolve("wine@staging")) == "wine has no alias 'staging'"
    registry.promote("wine/1", "staging")
    assert [str(registry.resolve(f"{name}@staging")) for name in ("house", "wine")] == ["house/2", "wine/1"]


@pytest.mark.parametrize(
    ("reference", "alias", "message"),
    [
        ("house/1", "latest", "'latest' always means the newest version and cannot be set"),
        ("house/1", "champion", "'champion' is what the newest gate passed for production and cannot be set"),
        ("house/9", "staging", "house has versions 1 to 1, and no 9"),
        ("house@production", "staging", "house has no alias 'production'"),
        ("hous", "staging", "holds no model 'hous'; did you mean 'house'?"),
        ("house/1", "Staging", "'Staging' is not allowed: use lower-case letters, digits and hyphens"),
        ("house/1", "../x", "'../x' is not allowed: use lower-case letters, digits and hyphens"),
        ("house/1", "", "'' is not allowed: use lower-case letters, digits and hyphens"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_and_not_written(
    registry: Registry, tmp_path: Path, reference: str, alias: str, message: str
) -> None:
    publish(registry, tmp_path)
    before = contents(registry)

    assert refusal(lambda: registry.promote(reference, alias), PegboardError).endswith(message)
    assert contents(registry) == before


def test_the_champion_is_what_the_newest_gate_passed_for_production_else_the_newest(
    registry: Registry, tmp_path: Path
) -> None:
    assert registry.champion("house") is None
    publish(registry, tmp_path, "house", 3)
    publish(registry, tmp_path, "wine", 1)
    assert registry.champion("house") == registry.resolve("house/3")

    registry.promote("house/1", "production", environment="production", gate={"passed": True, "champion": None})
    registry.promote("house/2", "staging", environment="staging", gate={"passed": True, "champion": "house/1"})
    refused = {"passed": False, "champion": "house/1"}
    registry.promote("house/2", "production", environment="production", gate=refused)

    assert registry.champion("house") == registry.resolve("house@champion") == registry.resolve("house/1")
    assert registry.champion("wine") == registry.resolve("wine/1")


@pytest.mark.parametrize("other", ["reformatted", "of another bundle"])
def test_a_manifest_replaced_after_publication_is_refused(registry: Registry, tmp_path: Path, other: str) -> None:
    version, second = publish(registry, tmp_path, versions=2)
    directory = registry.open(version).directory
    data = (registry.open(second).directory / MANIFEST).read_bytes()
    if other == "reformatted":
        data = json.dumps(json.loads((directory / MANIFEST).read_bytes())).encode()
    (directory / MANIFEST).write_bytes(data)

    for act in (registry.open, registry.verify):
        message = refusal(lambda act=act: act(version), BundleError)
        assert message.startswith(f"{directory}: the manifest was altered: its digest is ")
        assert version.digest[:12] in message
    registry.verify(second)


@pytest.mark.parametrize("file", [PIPELINE, REPLAY])
def test_a_file_damaged_after_publication_is_refused_by_verify(registry: Registry, tmp_path: Path, file: str) -> None:
    [version] = publish(registry, tmp_path)
    (registry.open(version).directory / file).write_bytes(b"other")
    assert file in refusal(lambda: registry.verify(version), BundleError)


@pytest.mark.parametrize("damage", [PIPELINE, REPLAY, MANIFEST, "extra"])
@pytest.mark.parametrize("published_before", [0, 1])
def test_publishing_a_damaged_bundle_leaves_the_registry_as_it_was(
    registry: Registry, tmp_path: Path, damage: str, published_before: int
) -> None:
    publish(registry, tmp_path, versions=published_before)
    before = contents(registry)
    directory = bundle(tmp_path, mark=7)
    (directory / damage).write_bytes(b"{")

    assert str(directory) in refusal(lambda: registry.publish(directory), BundleError)

    assert contents(registry) == before
    assert registry.store.root.exists() == bool(published_before)


@pytest.mark.parametrize("name", ["House", "../house", "", "a/b", "a b"])
def test_a_bundle_whose_name_cannot_be_one_is_refused(registry: Registry, tmp_path: Path, name: str) -> None:
    directory = bundle(tmp_path)
    manifest = json.loads((directory / MANIFEST).read_bytes())
    (directory / MANIFEST).write_text(json.dumps(manifest | {"name": name}))

    assert refusal(lambda: registry.publish(directory), PegboardError).startswith(f"model name {name!r} is not allowed")
    assert not registry.store.root.exists()


def test_a_manifest_that_changes_while_published_makes_no_broken_version(registry: Registry, tmp_path: Path) -> None:
    directory = bundle(tmp_path)
    create = registry.store.create

    def create_and_change(key: str, data: bytes) -> bool:
        if key.endswith(PIPELINE):
            (directory / MANIFEST).write_bytes(b"{}")
        return create(key, data)

    registry.store.create = create_and_change
    with suppress(BundleError):
        registry.publish(directory)

    for version in registry.versions():
        registry.verify(version)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "wine"}, BundleError, "wine/1 holds a bundle of 'house'"),
        ({"prefix": "../elsewhere"}, RegistryError, "'../elsewhere' is not a key inside "),
        ({"prefix": "bundles/none"}, BundleError, "is not a bundle: cannot read manifest.json"),
    ],
)
def test_a_ledger_entry_that_does_not_fit_its_bundle_is_refused(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], error: type[PegboardError], message: str
) -> None:
    [version] = publish(registry, tmp_path)
    fields = {"action": "published", "name": "other", "version": 1, "bundle": version.digest, "prefix": version.prefix}
    entry = registry.ledger.append(lambda _: fields | changes)

    assert message in refusal(lambda: registry.verify(registry.resolve(entry.name)), error)


def test_a_gate_that_compared_with_what_is_no_longer_the_champion_has_to_be_asked_again(
    registry: Registry, tmp_path: Path
) -> None:
    publish(registry, tmp_path, versions=2)
    gate = {"passed": True, "champion": None}
    registry.promote("house/1", "production", environment="production", gate=gate)
    before = contents(registry)

    message = refusal(lambda: registry.promote("house/2", "production", environment="production", gate=gate))

    assert message == ("house/1 has become the champion since the gate compared with none: run the gate again")
    assert contents(registry) == before
    registry.promote("house/2", "production", environment="production", gate={**gate, "champion": "house/1"})
    assert str(registry.champion("house")) == "house/2"
