"""What an operator asks of the registry: what was where, when and why; the way back; what differs; who serves what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard.registry import Registry

Command = Callable[..., Any]
IMAGE = f"sha256:{'4be0c1d2' * 8}"
PASSED = {"passed": True, "forced": False, "champion": None, "findings": []}
TIMES = {3: "2026-11-17T10:00:00", 5: "2026-11-17T14:00:00", 6: "2026-11-17T15:00:00", 7: "2026-11-17T16:00:00"}


def at(entry: int) -> str:
    """The time of an entry: on the hour for those that move something, early that day for the others."""
    return TIMES.get(entry, "2026-11-17T09:00:00" if entry < 3 else "2026-11-17T13:00:00") + ".000+00:00"


@pytest.fixture
def house(tmp_path: Path, write_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Four versions of house; production had 1 from 10:00, 2 from 14:00, 3 from 15:00, and 2 again from 16:00 UTC."""
    registry = Registry(tmp_path / "registry")
    monkeypatch.setattr("pegboard.ledger._not_before", lambda chain: at(len(chain.entries) + 1))
    monkeypatch.setenv("PEGBOARD_ACTOR", "ops")
    for mark in (1, 2):
        registry.publish(write_bundle(tmp_path, mark))
    registry.promote("house/1", "production", environment="production", gate=PASSED, reason="first")
    registry.publish(write_bundle(tmp_path, 3, model="forest", python="3.12", data={"rows": 9}))
    registry.promote("house/2", "production", environment="production", gate={**PASSED, "champion": "house/1"})
    registry.promote("house/3", "production", environment="production", reason="by hand")
    registry.rollback("house", "production", environment="production", reason="odd prices")
    return registry


@pytest.mark.parametrize(
    ("time", "version"),
    [
        ("2026-11-17T09:59:59Z", None),
        ("2026-11-17T10:00Z", "house/1"),
        ("2026-11-17T14:05+00:00", "house/2"),
        ("2026-11-17T14:05+01:00", "house/1"),
        ("2026-11-17T15:30Z", "house/3"),
        ("2026-11-17", "house/2"),
        ("2030-01-01", "house/2"),
    ],
)
@pytest.mark.usefixtures("house")
def test_what_was_in_production_is_answered_for_any_time(pegboard: Command, time: str, version: str | None) -> None:
    said = json.loads(pegboard("models", "at", time, "house", "--json", TZ="UTC").stdout)
    found = {row["alias"]: row["version"] for row in said["aliases"]}
    assert found.get("house@production") == version


@pytest.mark.usefixtures("house")
def test_a_time_without_a_zone_is_the_operators_own(pegboard: Command) -> None:
    said = pegboard("models", "at", "2026-11-17T15:05", TZ="Europe/Berlin").stdout
    assert "at 2026-11-17 15:05:00 CET (2026-11-17 14:05:00 UTC)" in said
    assert "house@production" in said
    assert "house/2" in said
    assert "house/3" not in said


@pytest.mark.usefixtures("house")
def test_a_time_that_is_none_is_refused_with_an_example(pegboard: Command) -> None:
    assert (
        "'last tuesday' is not a time: write \"2026-11-17T14:05\""
        in pegboard("models", "at", "last tuesday", status=2).stderr
    )


@pytest.mark.usefixtures("house")
def test_history_says_who_did_what_and_why_and_what_the_gate_said(pegboard: Command) -> None:
    lines = pegboard("models", "history", "house", "--alias", "production", TZ="UTC").stdout.splitlines()
    rows = [" ".join(line.split()) for line in lines if "promoted" in line or "rolled-back" in line]
    assert rows == [
        "3 2026-11-17 10:00:00 promoted house/1 production, champion ops passed first",
        "5 2026-11-17 14:00:00 promoted house/2 production, champion ops passed",
        "6 2026-11-17 15:00:00 promoted house/3 production ops none by hand",
        "7 2026-11-17 16:00:00 rolled-back house/2 production ops odd prices",
    ]
    assert len(json.loads(pegboard("models", "history", "--json").stdout)) == 7
    since = json.loads(pegboard("models", "history", "--since", "2026-11-17T14:00Z", "--json").stdout)
    assert [entry["number"] for entry in since] == [5, 6, 7]


def test_one_command_goes_back_and_another_time_goes_back_further(house: Registry, pegboard: Command) -> None:
    said = pegboard("models", "rollback", "production", "--reason", "still odd").stdout
    assert said == "house@production is house/1 again  (ledger entry 8)\n"
    assert house.ledger.entries()[-1].reason == "still odd"

    refused = pegboard("models", "rollback", "production", status=1).stderr
    assert "house@production has pointed at nothing before house/1: promote a version" in refused
    assert json.loads(pegboard("models", "rollback", "house@production", "--to", "3", "--json").stdout)["version"] == 3
    refused = pegboard("models", "rollback", "production", "--to", "9", status=1).stderr
    assert "house@production has never pointed at house/9 (but at 1, 2, 3): promote it instead" in refused
    assert str(house.resolve("house@production")) == "house/3"


def test_nobody_is_taken_back_to_a_damaged_version(house: Registry, pegboard: Command) -> None:
    (house.open(house.resolve("house/1")).directory / "pipeline.joblib").write_bytes(b"damaged")

    refused = pegboard("models", "rollback", "production", status=1).stderr

    assert "pipeline.joblib is not what the manifest says" in refused
    assert str(house.resolve("house@production")) == "house/2"


@pytest.mark.usefixtures("house")
def test_the_difference_of_two_versions_names_model_data_and_dependencies(pegboard: Command) -> None:
    found = json.loads(pegboard("models", "diff", "2", "3", "--json").stdout)
    assert [(d["section"], d["what"], d["before"], d["after"]) for d in found] == [
        ("model", "model", "linear", "forest"),
        ("data", "rows", None, 9),
        ("dependencies", "python", "3", "3.12"),
    ]
    assert "house/1 and house/1 do not differ" in pegboard("models", "diff", "house/1", "1").stdout


def test_machines_are_answered_for_too(house: Registry, pegboard: Command) -> None:
    deployed = ("models", "record-deploy", "--env", "production", "--host", "web-1", "--host", "web-2")
    pegboard(*deployed, "--image", IMAGE, "--digest", f"sha256:{house.resolve('house/2').digest}")
    refused = pegboard(*deployed, "--digest", "sha256:other", status=1).stderr
    assert "the machines serve sha256:other, and house/2 is sha256:" in refused

    rows = json.loads(pegboard("models", "at", "2030-01-01", "--json").stdout)["machines"]
    assert [(row["machine"], row["version"], row["image"]) for row in rows] == [
        ("production: web-1", "house/2", IMAGE),
        ("production: web-2", "house/2", IMAGE),
    ]
    assert json.loads(pegboard("models", "at", "2026-11-17T15:59:59Z", "--json").stdout)["machines"] == []


@pytest.mark.parametrize(
    "image", ["sha256:1", IMAGE[:-1], IMAGE + "0", IMAGE.upper(), IMAGE[7:], "prices:latest", f"prices@{IMAGE}", " "]
)
def test_an_image_is_named_by_its_digest_or_not_written_down(house: Registry, pegboard: Command, image: str) -> None:
    deployed = ("models", "record-deploy", "house/2", "--env", "production", "--host", "web-1", "--image", image)
    assert (
        f"{image!r} is not an image's digest: write sha256: and its 64 digits" in pegboard(*deployed, status=1).stderr
    )
    assert len(house.ledger.entries()) == 7, "nothing was written down"


@pytest.mark.parametrize(
    ("time", "served"),
    [
        ("16:30", {}),
        ("17:00:30", {"web-1": "house/2"}),
        ("17:30", {"web-1": "house/2", "web-2": "house/2"}),
        ("18:00:30", {"web-1": "house/3", "web-2": "house/2"}),
        ("18:30", {"web-1": "house/3", "web-2": "house/3"}),
        ("19:30", {"web-1": "house/2", "web-2": "house/3"}),
    ],
    ids=["before", "first", "first done", "second", "second done", "one back"],
)
def test_each_machine_is_answered_for_while_a_roll_goes_on(
    house: Registry, pegboard: Command, monkeypatch: pytest.MonkeyPatch, time: str, served: dict[str, str]
) -> None:
    rolled = [("17:00", "house/2", "web-1"), ("17:01", "house/2", "web-2"), ("18:00", "house/3", "web-1"),
              ("18:01", "house/3", "web-2"), ("19:00", "house/2", "web-1")]  # fmt: skip
    for at_time, version, host in rolled:
        monkeypatch.setattr("pegboard.ledger._not_before", lambda _, t=at_time: f"2026-11-17T{t}:00.000+00:00")
        house.record_deploy(house.resolve(version), "production", [host], IMAGE)
    said = json.loads(pegboard("models", "at", f"2026-11-17T{time}Z", "--json").stdout)["machines"]
    assert {row["host"]: row["version"] for row in said} == served


def test_tampering_and_truncation_show(house: Registry, pegboard: Command, tmp_path: Path) -> None:
    said = json.loads(pegboard("ledger", "verify", "--json").stdout)
    assert (said["entries"], said["head"]) == (7, house.ledger.verify().head)
    ledger = tmp_path / "registry" / "ledger"
    (ledger / "00000007.json").unlink()

    pegboard("ledger", "verify")
    assert "was cut off or rewritten" in pegboard("ledger", "verify", "--head", said["head"], status=1).stderr
    entry = ledger / "00000005.json"
    entry.write_bytes(entry.read_bytes().replace(b'"ops"', b'"dev"'))
    assert "ledger entry 5 was changed after 6 was written" in pegboard("ledger", "verify", status=1).stderr


@pytest.mark.usefixtures("house")
def test_an_environment_that_is_none_is_refused_with_those_there_are(pegboard: Command) -> None:
    refused = pegboard("models", "rollback", "prodction", status=1).stderr
    assert "no environment 'prodction'; did you mean 'production'?" in refused
