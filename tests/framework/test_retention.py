"""Garbage collection: nothing that is needed goes, nothing of the ledger goes, and what goes is said to be gone."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import ledger as ledgers
from pegboard.errors import RegistryError
from pegboard.registry import Registry
from pegboard.retention import Garbage, collect, find_garbage

Publish = Callable[[int], None]
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


class Clock(datetime):
    """Stands at :attr:`time`."""

    time = NOW

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "datetime", Clock)
    monkeypatch.setattr(Clock, "time", NOW - 200 * DAY)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def publish(registry: Registry, tmp_path: Path, write_bundle: Callable[..., Path]) -> Callable[[int], None]:
    """Publish so many versions of house."""

    def publish(count: int) -> None:
        for mark in range(count):
            registry.publish(write_bundle(tmp_path, mark))

    return publish


def days_ago(days: int) -> None:
    Clock.time = NOW - days * DAY


def garbage(registry: Registry, days: int = 90) -> tuple[list[str], int]:
    found = find_garbage(registry, days * DAY, NOW)
    return [str(version) for version, _ in found.versions], len(found.orphans)


def test_what_an_alias_has_pointed_at_within_the_window_stays(
    registry: Registry, tmp_path: Path, publish: Publish
) -> None:
    publish(6)
    for days, version in ((150, 1), (120, 2), (60, 3), (30, 4)):
        days_ago(days)
        registry.promote(f"house/{version}", "production")

    # 2 was in production when the window of 90 days began; 6 is the newest.
    assert garbage(registry, 90) == (["house/1", "house/5"], 0)
    assert garbage(registry, 40) == (["house/1", "house/2", "house/5"], 0)
    assert garbage(registry, 0) == (["house/1", "house/2", "house/3", "house/5"], 0)
    assert garbage(registry, 300) == ([], 0)


def test_what_a_machine_serves_stays_however_old(registry: Registry, tmp_path: Path, publish: Publish) -> None:
    publish(3)
    registry.record_deploy(registry.resolve("house/1"), "production", ["a"])

    assert garbage(registry) == (["house/2"], 0)


def deploy(registry: Registry, version: int | None, since: int | None = None) -> None:
    """Write down what host a serves, ``None`` for nothing, and since how many days if not now."""
    when = None if since is None else NOW - since * DAY
    if version is None:
        registry.record_nothing("production", ["a"], since=when)
    else:
        registry.record_deploy(registry.resolve(f"house/{version}"), "production", ["a"], since=when)


@pytest.mark.parametrize(
    ("steps", "stays"),
    [
        ([(150, 1)], {1}),
        ([(150, 1), (120, 2)], {1, 2}),
        ([(150, 1), (140, 2), (120, 3)], {2, 3}),
        ([(150, 1), (140, 2), (120, 2)], {1, 2}),
        ([(150, 1), (140, 2), (120, 1)], {1, 2}),
        ([(150, 1), (140, None), (120, 2)], {1, 2}),
        ([(150, 1), (120, None)], set()),
        ([(150, 1), (140, 2), (30, None)], {2}),
        ([(150, 1), (140, 2), (30, 3), (20, 4)], {2, 3, 4}),
    ],
    ids=["one", "two", "three", "again", "and back", "after nothing", "taken down", "taken down of late", "of late"],
)
def test_what_a_machine_served_before_stays_for_the_way_back(
    registry: Registry, publish: Publish, steps: list[tuple[int, int | None]], stays: set[int]
) -> None:
    publish(6)
    for days, version in steps:
        days_ago(days)
        deploy(registry, version)

    assert garbage(registry) == ([f"house/{version}" for version in range(1, 6) if version not in stays], 0)


def test_what_was_replaced_yesterday_stays_although_nobody_had_asked_for_it_for_long(
    registry: Registry, publish: Publish
) -> None:
    publish(3)
    deploy(registry, 1)
    days_ago(1)
    deploy(registry, 2)

    assert garbage(registry, 0) == ([], 0)


def test_what_was_corrected_at_the_same_moment_does_not_cost_the_way_back(registry: Registry, publish: Publish) -> None:
    publish(5)
    deploy(registry, 1)
    days_ago(100)
    for version in (2, 3):
        deploy(registry, version, since=150)
    assert garbage(registry) == (["house/4"], 0)

    deploy(registry, 3)
    assert garbage(registry) == (["house/4"], 0)


def test_a_way_back_that_is_gone_leaves_the_one_before(registry: Registry, publish: Publish) -> None:
    publish(4)
    for days, version in ((150, 1), (140, 2), (120, 3)):
        days_ago(days)
        deploy(registry, version)
    registry.ledger.append(lambda _: {"action": "collected", "name": "house", "version": 2})

    assert garbage(registry) == ([], 0)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(100, 190), st.integers(1, 5) | st.none()), min_size=1, unique_by=lambda step: step[0]
    ),
    order=st.randoms(use_true_random=False),
)
def test_in_whatever_order_it_was_written_down_each_machine_keeps_what_it_serves_and_its_way_back(
    write_bundle: Callable[..., Path], steps: list[tuple[int, int | None]], order: Random
) -> None:
    served = [version for _, version in sorted(steps, reverse=True)]
    before = [version for version in served if version not in (None, served[-1])]
    needed = set() if served[-1] is None else {served[-1], *before[-1:]}
    order.shuffle(steps)
    with tempfile.TemporaryDirectory() as directory:
        registry = Registry(Path(directory) / "registry")
        days_ago(200)
        for mark in range(6):
            registry.publish(write_bundle(Path(directory), mark))
        # So that nothing can be withdrawn of a machine that was never heard of.
        deploy(registry, 6)
        days_ago(99)
        for days, version in steps:
            deploy(registry, version, since=days)

        assert garbage(registry) == ([f"house/{version}" for version in range(1, 6) if version not in needed], 0)


def test_what_is_removed_is_gone_and_said_to_be_and_the_rest_verifies(
    registry: Registry, tmp_path: Path, publish: Publish
) -> None:
    publish(3)
    kept = registry.resolve("house/1")
    registry.promote("house/1", "production")
    entries = {path: path.read_bytes() for path in (tmp_path / "registry" / "ledger").iterdir()}

    assert list(collect(registry, find_garbage(registry, DAY, NOW), DAY, "too old")) == ["house/2"]

    assert {path: path.read_bytes() for path in entries} == entries
    assert [str(version) for version in registry.versions()] == ["house/1", "house/3"]
    assert len(list((tmp_path / "registry" / "bundles" / "house").iterdir())) == 2
    for version in registry.versions():
        registry.verify(version)
    assert registry.resolve("house/1").digest == kept.digest
    with pytest.raises(RegistryError, match=r"the files of house/2 were removed at .*: too old"):
        registry.resolve("house/2")
    registry.ledger.verify()
    assert garbage(registry, 1) == ([], 0)


def test_a_version_that_has_come_to_be_needed_meanwhile_stays(
    registry: Registry, tmp_path: Path, publish: Publish
) -> None:
    publish(2)
    planned = find_garbage(registry, DAY, NOW)
    assert [str(version) for version, _ in planned.versions] == ["house/1"]
    registry.promote("house/1", "staging")

    with pytest.raises(RegistryError, match="house/1 is needed by now, and stays"):
        list(collect(registry, planned, DAY, ""))

    registry.verify(registry.resolve("house@staging"))


def test_a_bundle_that_was_removed_can_be_published_again_under_a_new_number(
    registry: Registry, tmp_path: Path, publish: Publish
) -> None:
    publish(2)
    list(collect(registry, find_garbage(registry, DAY, NOW), DAY, ""))

    assert str(registry.publish(tmp_path / "bundle-0")) == "house/3"
    registry.verify(registry.resolve("house/3"))


@pytest.mark.parametrize(("hours", "abandoned"), [(1, 0), (25, 1)])
def test_an_upload_without_an_entry_goes_when_nobody_can_still_be_at_it(
    registry: Registry, tmp_path: Path, publish: Publish, hours: int, abandoned: int
) -> None:
    publish(1)
    registry.store.create("bundles/house/interrupted/pipeline.joblib", b"half")
    registry.store.create("bundles/house/interrupted/signatures/abc", b"half")
    then = (NOW - timedelta(hours=hours)).timestamp()
    for path in (tmp_path / "registry" / "bundles" / "house" / "interrupted").rglob("*"):
        os.utime(path, (then, then))

    found = find_garbage(registry, DAY, NOW)
    assert found == Garbage((), ("bundles/house/interrupted",) * abandoned)
    assert list(collect(registry, found, DAY, "")) == list(found.orphans)

    assert ("interrupted" in registry.store.names("bundles/house")) is not bool(abandoned)
    registry.verify(registry.resolve("house/1"))
    assert len(json.loads((tmp_path / "registry" / "ledger" / "00000001.json").read_bytes())) > 0
