"""What machines served when: also when it is written down later, in any order, and when it is nothing any more."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pegboard import ledger as ledgers
from pegboard.cli.models import models
from pegboard.errors import RegistryError
from pegboard.ledger import Entry, Ledger
from pegboard.registry import Registry
from pegboard.stores import Store
from pegboard.stores.file import FileStore

MIDNIGHT = datetime(2026, 11, 17, tzinfo=UTC)
HOSTS = ("web1", "web2")
#: A deployment as it has been written ever since there are deployments.
BEFORE = b"""{
 "action": "deployed",
 "actor": "dev",
 "alias": "",
 "at": "2026-11-17T00:02:00.000+00:00",
 "bundle": "b1",
 "deployment": {
  "hosts": [
   "web1"
  ],
  "image": ""
 },
 "environment": "production",
 "format": 1,
 "gate": {},
 "git": "",
 "name": "house",
 "nonce": "c0ffee",
 "number": 2,
 "prefix": "",
 "previous": "%s",
 "reason": "release 12",
 "version": 1
}
"""

Run = Callable[..., Result]


class Memory:
    """A store that is a table."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}

    def names(self, prefix: str, after: str = "") -> list[str]:
        names = [key.removeprefix(f"{prefix}/") for key in self.keys]
        return sorted(name for name in names if name > after)

    def read_many(self, keys: list[str], fresh: bool = False) -> list[bytes]:
        return [self.keys[key] for key in keys]

    def create(self, key: str, data: bytes) -> bool:
        return self.keys.setdefault(key, data) is data


def at(minute: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def stamp(minute: float) -> str:
    return at(minute).isoformat(timespec="milliseconds")


def write(ledger: Ledger, minute: float, **fields: Any) -> Entry:
    """Write an entry at that minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "_not_before", lambda _: stamp(minute))
        return ledger.append(lambda _: fields)


def tell(ledger: Ledger, minute: float, host: str, version: int | None, since: float | None = None) -> Entry:
    """Write down at that minute what a host serves, ``None`` for nothing."""
    what = {"action": "withdrawn", "name": "", "version": 0}
    if version is not None:
        what = {"action": "deployed", "name": "house", "version": version}
    deployment = {"hosts": [host], "image": ""} | ({} if since is None else {"since": stamp(since)})
    return write(ledger, minute, **what, environment="production", deployment=deployment)


def of_three_versions() -> Ledger:
    ledger = Ledger(cast(Store, Memory()))
    for version in (1, 2, 3):
        write(ledger, -10, action="published", name="house", version=version)
    return ledger


def serves(ledger: Ledger, when: datetime) -> dict[str, str]:
    return {host: str(entry) for (_, host), entry in ledger.at(when).machines.items()}


#: What happened to a host at a minute, and how many minutes passed until it was written down; 0 is at once.
EVENTS = st.lists(
    st.tuples(st.sampled_from(HOSTS), st.integers(0, 20), st.sampled_from([1, 2, 3, None]), st.integers(0, 30)),
    max_size=12,
    unique_by=lambda event: event[:2],
)


@given(events=EVENTS)
def test_whenever_it_was_written_down_each_moment_is_told_as_it_was(
    events: list[tuple[str, int, int | None, int]],
) -> None:
    ledger = of_three_versions()
    for host, minute, version, late in sorted(events, key=lambda event: event[1] + event[3]):
        tell(ledger, minute + late, host, version, minute if late else None)

    for moment in (minute + part for minute in range(-1, 21) for part in (0, 0.5)):
        was: dict[str, str] = {}
        for host, minute, version, _ in sorted(events, key=lambda event: event[1]):
            if minute <= moment:
                was[host] = "nothing" if version is None else f"house/{version}"
        assert serves(ledger, at(moment)) == was
    assert {host: str(entry) for (_, host), entry in ledger.state().machines.items()} == was
    assert ledger.verify().entries == ledger.entries()


@given(events=EVENTS, order=st.randoms(use_true_random=False))
def test_the_order_of_writing_makes_no_difference(events: list[tuple[str, int, int | None, int]], order: Any) -> None:
    shuffled = list(events)
    order.shuffle(shuffled)
    answers = []
    for written in (events, shuffled):
        ledger = of_three_versions()
        for later, (host, minute, version, _) in enumerate(written):
            tell(ledger, 30 + later, host, version, minute)
        answers.append([serves(ledger, at(moment)) for moment in range(-1, 60)])
    assert answers[0] == answers[1]


def test_of_two_that_tell_of_the_same_moment_the_later_entry_is_right() -> None:
    ledger = of_three_versions()
    for version in (2, 1, 3):
        tell(ledger, 5, "web1", version, since=1)
    tell(ledger, 6, "web1", 2, since=0)

    assert [serves(ledger, at(minute)) for minute in (0, 1, 7)] == [
        {"web1": "house/2"},
        {"web1": "house/3"},
        {"web1": "house/3"},
    ]


def test_aliases_go_by_the_time_of_writing_alone() -> None:
    ledger = of_three_versions()
    write(ledger, 5, action="promoted", name="house", version=1, alias="production")
    tell(ledger, 6, "web1", 1, since=1)

    assert ledger.at(at(2)).aliases == {}
    assert serves(ledger, at(2)) == {"web1": "house/1"}


def test_entries_that_were_written_before_are_read_and_hashed_as_ever(tmp_path: Path) -> None:
    ledger = Ledger(FileStore(tmp_path))
    write(ledger, 1, action="published", name="house", version=1)
    old = BEFORE % ledger.chain().head.encode()
    (tmp_path / "ledger" / "00000002.json").write_bytes(old)
    chain = ledger.chain()

    assert chain.entries[1].to_bytes() == old
    assert chain.head == hashlib.sha256(old).hexdigest()
    assert chain.entries[1].since == at(2)
    assert [serves(ledger, at(minute)) for minute in (1, 2)] == [{}, {"web1": "house/1"}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "yesterday"},
        {"since": 12},
        {"since": "2026-11-17T00:00:00"},
        {"since": "2026-11-17T00:02:00.001+00:00"},
    ],
    ids=lambda wrong: str(wrong["since"]),
)
def test_a_time_that_cannot_be_is_never_written(wrong: dict[str, Any]) -> None:
    ledger = of_three_versions()
    deployment = {"hosts": ["web1"], "image": ""} | wrong
    with pytest.raises(RegistryError, match="is not a ledger entry: "):
        write(ledger, 2, action="deployed", name="house", version=1, environment="production", deployment=deployment)
    assert len(ledger.entries()) == 3


@pytest.mark.parametrize(("name", "version"), [("house", 0), ("", 1), ("house", 1)])
def test_hosts_are_withdrawn_and_no_version(name: str, version: int) -> None:
    with pytest.raises(RegistryError, match=f"entry 4 has withdrawn {name}/{version}, not hosts"):
        write(of_three_versions(), 2, action="withdrawn", name=name, version=version)


@pytest.fixture
def registry(tmp_path: Path, write_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two versions of house, published at 00:00 and 00:10, 700 ms past; production had 1 from 00:20, 2 from 00:40."""
    made = Registry(tmp_path / "registry")
    for minute, step in (
        (0.7 / 60, lambda: made.publish(write_bundle(tmp_path, 1))),
        (10 + 0.7 / 60, lambda: made.publish(write_bundle(tmp_path, 2))),
        (20, lambda: made.promote("house/1", "production")),
        (40, lambda: made.promote("house/2", "production")),
    ):
        monkeypatch.setattr(ledgers, "_not_before", lambda _, minute=minute: stamp(minute))
        step()
    monkeypatch.setattr(ledgers, "_not_before", lambda _: stamp(9 * 60))
    return made


@pytest.fixture
def run(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run ``pegboard models``, at nine in the morning and where it is one hour later than in UTC."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return at(9 * 60)

    monkeypatch.setattr("pegboard.registry.datetime", Clock)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time_zone()
    yield lambda *arguments: CliRunner().invoke(models, [*arguments, "--registry", str(tmp_path / "registry")])
    monkeypatch.undo()
    time_zone()


def time_zone() -> None:
    """Take up what TZ says."""
    time.tzset()


def record(run: Run, *arguments: str) -> Result:
    return run("record-deploy", "--env", "production", "--host", "web1", *arguments)


def machines(run: Run, when: str) -> dict[str, Any]:
    return {row["host"]: row for row in json.loads(run("at", when, "--json").output)["machines"]}


@pytest.mark.parametrize("since", ["2026-11-17T03:00", "2026-11-17T02:00Z", "2026-11-17T02:00:00+00:00"])
def test_a_rollback_that_is_recorded_in_the_morning_is_told_from_the_night_on(run: Run, since: str) -> None:
    record(run, "house/2", "--since", "2026-11-17T00:45Z")
    said = record(run, "house/1", "--since", since, "--reason", "the registry was away").output

    assert said == "web1 in production: house/1 since 2026-11-17 03:00:00  (ledger entry 6)\n"
    assert machines(run, "2026-11-17T01:59:59Z")["web1"]["version"] == "house/2"
    row = machines(run, "2026-11-17T02:00Z")["web1"]
    assert (row["version"], row["since"], row["recorded"]) == ("house/1", stamp(120), stamp(540))
    assert "production: web1   house/1" in run("at", "2026-11-17T02:00Z").output
    assert "2026-11-17 03:00:00" in run("at", "2026-11-17T02:00Z").output
    assert "production: web1 (since 2026-11-17 03:00:00)" in run("history").output
    entry = json.loads(run("history", "--json").output)[-1]
    assert entry["deployment"] == {"hosts": ["web1"], "image": "", "since": stamp(120)}
    assert entry["at"] == stamp(540)


def test_without_since_an_entry_is_what_it_was(run: Run) -> None:
    said = json.loads(record(run, "house/2", "--json").output)

    assert said["deployment"] == {"hosts": ["web1"], "image": ""}
    row = machines(run, "2026-11-17T09:00Z")["web1"]
    assert row["since"] == row["recorded"] == stamp(540)


@pytest.mark.parametrize(
    ("version", "since", "error"),
    [
        (
            "house/2",
            "2026-11-17T09:00:01Z",
            "2026-11-17T10:00:01+01:00 is still to come: write down what is so already",
        ),
        (
            "house/2",
            "2026-11-17T00:09:59Z",
            "house/2 was published at 2026-11-17T00:10:00.700+00:00: nothing has served it since "
            "2026-11-17T01:09:59+01:00",
        ),
        (
            "house@production",
            "2026-11-17T00:19Z",
            "house@production was no version yet at 2026-11-17T01:19:00+01:00: write which, as house/2",
        ),
        (
            "house",
            "2026-11-16",
            "house@latest was no version yet at 2026-11-16T00:00:00+01:00: write which, as house/2",
        ),
        ("house@prodction", "2026-11-17T00:19Z", "house has no alias 'prodction'; did you mean 'production'?"),
    ],
)
def test_a_time_that_cannot_be_is_refused(run: Run, registry: Registry, version: str, since: str, error: str) -> None:
    refused = record(run, version, "--since", since)

    assert isinstance(refused.exception, RegistryError)
    assert str(refused.exception) == error
    assert len(registry.ledger.entries()) == 4


@pytest.mark.parametrize("since", ["last night", "0001-01-01T00:00", "2026-13-01", ""])
def test_a_time_that_is_none_is_refused_as_elsewhere(run: Run, since: str) -> None:
    refused = record(run, "house/2", "--since", since)

    assert refused.exit_code == 2
    assert "is neither a span (12h, 7d, 2w) nor a time" in refused.output


@pytest.mark.parametrize("since", ["2026-11-17T00:10:00Z", "2026-11-17T09:00:00Z"])
def test_from_the_second_in_which_a_version_was_published_until_now_any_time_can_be(run: Run, since: str) -> None:
    assert record(run, "house/2", "--since", since).exit_code == 0


def test_without_a_version_it_is_the_one_that_the_alias_pointed_at_then(run: Run) -> None:
    assert "house/1 since" in record(run, "--since", "2026-11-17T00:30Z").output
    assert "house/2 since" in record(run, "--since", "2026-11-17T00:50Z").output
    assert "house/2  (" in record(run).output


def test_a_machine_that_was_taken_down_serves_nothing_from_then_on(run: Run, registry: Registry) -> None:
    record(run, "house/2", "--host", "web2", "--since", "2026-11-17T00:45Z")
    said = record(run, "--nothing", "--since", "2026-11-17T03:00Z", "--reason", "too many").output

    assert said == "web1 in production: nothing since 2026-11-17 04:00:00  (ledger entry 6)\n"
    assert machines(run, "2026-11-17T02:59Z")["web1"]["version"] == "house/2"
    row = machines(run, "2026-11-17T03:00Z")["web1"]
    assert (row["version"], row["digest"], row["image"], row["since"]) == (None, "", "", stamp(180))
    assert machines(run, "2026-11-17T03:00Z")["web2"]["version"] == "house/2"
    for shown in (run("at", "2026-11-17T03:00Z", "house"), run("at", "2026-11-17T03:00Z")):
        assert "production: web1   nothing" in shown.output
    for shown in (run("history", "house"), run("history", "--alias", "production")):
        line = " ".join(shown.output.splitlines()[-1].split()) or " ".join(shown.output.splitlines()[-2].split())
        assert "withdrawn nothing production: web1 (since 2026-11-17 04:00:00)" in line
        assert "too many" in line
    registry.ledger.verify()


def test_what_comes_after_nothing_is_served_again(run: Run) -> None:
    record(run, "house/1", "--since", "2026-11-17T01:00Z")
    record(run, "--nothing")
    record(run, "house/2")

    assert machines(run, "2026-11-17T09:00Z")["web1"]["version"] == "house/2"


def test_nothing_is_said_of_machines_that_there_are(run: Run, registry: Registry) -> None:
    record(run, "house/1")
    refused = run("record-deploy", "--env", "production", "--nothing", "--host", "wbe1")
    elsewhere = run("record-deploy", "--env", "staging", "--nothing", "--host", "web1")

    assert str(refused.exception) == "nothing was ever deployed to 'wbe1' in production; did you mean 'web1'?"
    assert str(elsewhere.exception) == "nothing was ever deployed to 'web1' in staging"
    assert "still to come" in str(record(run, "--nothing", "--since", "2026-11-17T09:01Z").exception)
    with pytest.raises(RegistryError, match="name at least one"):
        registry.record_nothing("production", [])
    assert len(registry.ledger.entries()) == 5


@pytest.mark.parametrize("more", [["house/1"], ["--image", f"sha256:{'0' * 64}"], ["--digest", "sha256:1"]])
def test_nothing_has_no_version_and_no_image(run: Run, more: list[str]) -> None:
    refused = record(run, "--nothing", *more)

    assert refused.exit_code == 2
    assert "--nothing is said of machines alone" in refused.output
