"""What the ledger says of the past: where aliases pointed, the way back, what machines served, and what was cut off."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard import ledger as ledgers
from pegboard.errors import RegistryError
from pegboard.ledger import FIRST, Entry, Ledger, replay
from pegboard.registry import way_back
from pegboard.stores.file import FileStore

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
PASSED = {"passed": True}
REFUSED = {"passed": False}


def entry(number: int, action: str, version: int, alias: str = "", **more: Any) -> Entry:
    at = (NOON + timedelta(minutes=number)).isoformat(timespec="milliseconds")
    fields = {"number": number, "name": "house", "previous": FIRST, "at": at, "actor": "me"} | more
    return Entry(action=action, version=version, alias=alias, **fields)  # type: ignore[arg-type]


def published(count: int) -> list[Entry]:
    return [entry(number, "published", number) for number in range(1, count + 1)]


def story(*steps: int) -> list[Entry]:
    """Publish three versions; then each positive step promotes that version, and 0 goes back to the one before."""
    entries = published(3)
    for step in steps:
        state = replay(entries)
        version = step or way_back(state, "house", "production", None)
        entries.append(entry(len(entries) + 1, "promoted" if step else "rolled-back", version, "production"))
    return entries


@given(steps=st.lists(st.integers(0, 3), max_size=12))
def test_going_back_undoes_promotions_one_by_one_and_ends_with_a_refusal(steps: list[int]) -> None:
    entries, stack = published(3), []
    for step in steps:
        state = replay(entries)
        if step:
            stack += [step] if stack[-1:] != [step] else []
            version = step
        elif len(stack) > 1:
            stack.pop()
            version = way_back(state, "house", "production", None)
        else:
            with pytest.raises(RegistryError, match=r"has pointed at nothing before|has no alias"):
                way_back(state, "house", "production", None)
            continue
        entries.append(entry(len(entries) + 1, "promoted" if step else "rolled-back", version, "production"))
        assert replay(entries).aliases.get(("house", "production")) == stack[-1]


def test_a_version_that_was_left_by_going_back_can_be_gone_to_again() -> None:
    state = replay(story(1, 2, 0))

    assert state.aliases["house", "production"] == 1
    assert way_back(state, "house", "production", 2) == 2
    with pytest.raises(RegistryError) as refused:
        way_back(state, "house", "production", 3)
    assert str(refused.value) == "house@production has never pointed at house/3 (but at 1, 2): promote it instead"
    with pytest.raises(RegistryError, match="house@production points at house/1 already"):
        way_back(state, "house", "production", 1)


@pytest.mark.parametrize(
    ("promotions", "champion"),
    [
        ([(1, "production", PASSED)], 1),
        ([(1, "production", PASSED), (2, "production", PASSED)], 2),
        ([(1, "production", PASSED), (2, "production", REFUSED)], 1),
        ([(1, "production", PASSED), (2, "staging", PASSED)], 1),
        ([(1, "production", {})], None),
        ([(1, "staging", PASSED)], None),
    ],
)
def test_the_champion_is_the_version_that_the_newest_gate_passed_for_production(
    promotions: list[tuple[int, str, dict[str, Any]]], champion: int | None
) -> None:
    entries = published(2)
    for version, environment, gate in promotions:
        number = len(entries) + 1
        entries.append(entry(number, "promoted", version, environment, environment=environment, gate=gate))

    assert replay(entries).aliases.get(("house", "champion")) == champion


def test_going_back_leaves_the_champion_to_the_gate() -> None:
    entries = published(2)
    for version in (1, 2):
        entries.append(
            entry(len(entries) + 1, "promoted", version, "production", environment="production", gate=PASSED)
        )
    entries.append(entry(5, "rolled-back", 1, "production", environment="production"))

    assert replay(entries).aliases == {("house", "production"): 1, ("house", "champion"): 2}


def test_a_machine_serves_what_was_put_there_last() -> None:
    entries = published(2)
    for version, hosts in ((1, ["a", "b"]), (2, ["a"])):
        deployment = {"hosts": hosts, "image": f"sha256:{version}"}
        entries.append(entry(len(entries) + 1, "deployed", version, environment="production", deployment=deployment))

    machines = replay(entries).machines

    assert {host: (str(e), e.deployment["image"]) for (_, host), e in machines.items()} == {
        "a": ("house/2", "sha256:2"),
        "b": ("house/1", "sha256:1"),
    }


def test_a_version_whose_files_are_gone_is_no_place_to_go() -> None:
    entries = [*story(1, 2), entry(6, "collected", 1, reason="old")]

    with pytest.raises(RegistryError, match="has pointed at nothing before house/2"):
        way_back(replay(entries), "house", "production", None)
    with pytest.raises(RegistryError, match="house/1 was removed by entry 6"):
        replay([*entries, entry(7, "promoted", 1, "production")])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """A clock that stands until it is set: the first element is the time."""
    now = [NOON]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return now[0]

    monkeypatch.setattr(ledgers, "datetime", Clock)
    return now


def append(ledger: Ledger, action: str, version: int, alias: str = "") -> Entry:
    return ledger.append(lambda _: {"action": action, "name": "house", "version": version, "alias": alias})


def test_what_was_where_is_answered_for_every_moment(tmp_path: Path, clock: list[datetime]) -> None:
    ledger = Ledger(FileStore(tmp_path))
    expected: list[tuple[datetime, int | None]] = [(NOON - timedelta(seconds=1), None)]
    for number in (1, 2):
        append(ledger, "published", number)
    for minute, version in enumerate([1, 2, 1], start=1):
        clock[0] = NOON + timedelta(minutes=minute)
        append(ledger, "promoted", version, "production")
        expected += [(clock[0], version), (clock[0] + timedelta(seconds=59), version)]

    for when, version in expected:
        assert Ledger(FileStore(tmp_path)).at(when).aliases.get(("house", "production")) == version


def test_a_clock_that_goes_wrong_does_not_put_entries_out_of_order(tmp_path: Path, clock: list[datetime]) -> None:
    ledger = Ledger(FileStore(tmp_path))
    append(ledger, "published", 1)
    clock[0] = NOON - timedelta(hours=1)

    assert append(ledger, "promoted", 1, "production").at == NOON.isoformat(timespec="milliseconds")
    assert ledger.at(NOON - timedelta(minutes=1)).aliases == {}


def test_a_ledger_that_is_read_on_sees_what_others_have_added(tmp_path: Path) -> None:
    reader, writer = Ledger(FileStore(tmp_path)), Ledger(FileStore(tmp_path))
    for number in range(1, 4):
        append(writer, "published", number)
        assert [e.version for e in reader.entries()] == list(range(1, number + 1))


def test_verifying_reads_anew_and_finds_what_was_changed_since(tmp_path: Path) -> None:
    ledger = Ledger(FileStore(tmp_path))
    for number in (1, 2, 3):
        append(ledger, "published", number)
    second = tmp_path / "ledger" / "00000002.json"
    second.write_text(json.dumps(json.loads(second.read_bytes()) | {"actor": "somebody else"}, indent=1) + "\n")

    assert len(ledger.entries()) == 3, "what was read once is kept"
    with pytest.raises(RegistryError, match="ledger entry 2 was changed after 3 was written"):
        ledger.verify()


def test_a_head_that_was_noted_shows_that_entries_were_cut_off_or_rewritten(tmp_path: Path) -> None:
    ledger = Ledger(FileStore(tmp_path))
    heads = [FIRST]
    for number in (1, 2, 3):
        append(ledger, "published", number)
        heads.append(ledger.verify().head)
    assert [ledger.verify(head).head for head in (heads[1], heads[3], heads[3][:8])] == [heads[3]] * 3

    assert len(ledger.entries()) == 3
    last = tmp_path / "ledger" / "00000003.json"
    last.unlink()

    assert len(ledger.verify().entries) == 2, "a chain alone does not show what was cut off"
    with pytest.raises(RegistryError, match="ledger entry 3 is gone: the ledger was cut off, or moved away"):
        ledger.entries()
    with pytest.raises(RegistryError, match="is no hash of an entry: give its 64 digits, or the first 8"):
        ledger.verify(heads[1][:7])
    for head in (heads[3], heads[3][:8], "0" * 64):
        with pytest.raises(RegistryError, match=f"none of the 2 ledger entries has the hash {head}"):
            ledger.verify(head)
    append(Ledger(FileStore(tmp_path)), "published", 3)
    with pytest.raises(RegistryError, match="was cut off or rewritten; compare with a copy of the ledger"):
        ledger.verify(heads[3])


class Scanned(FileStore):
    """A directory that was listed while others wrote: the first listing misses what it is told to miss."""

    def __init__(self, root: Path, *missed: str) -> None:
        super().__init__(root)
        self.missed = missed

    def names(self, prefix: str, after: str = "") -> list[str]:
        names = [name for name in super().names(prefix, after) if name not in self.missed]
        self.missed = ()
        return names


def test_an_entry_that_one_listing_has_missed_is_in_the_next(tmp_path: Path) -> None:
    ledger = Ledger(FileStore(tmp_path))
    for number in range(1, 6):
        append(ledger, "published", number)

    reader = Ledger(Scanned(tmp_path, "00000002.json", "00000004.json"))
    assert [entry.number for entry in reader.entries()] == [1, 2, 3, 4, 5]

    (tmp_path / "ledger" / "00000004.json").unlink()
    with pytest.raises(RegistryError, match="ledger entry 4 is missing"):
        Ledger(Scanned(tmp_path, "00000002.json")).entries()
