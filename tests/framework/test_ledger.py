"""The ledger: replaying it is the only truth, nothing in it can be lost or changed unseen, and writers take turns."""

from __future__ import annotations

import getpass
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.errors import RegistryError
from pegboard.ledger import FIRST, Entry, Ledger, State, replay
from pegboard.stores.file import FileStore

#: Waits at a gate (a line on standard input), then publishes entries 0 to N-1, each marked as its own.
APPENDER = """
import sys
from pegboard.ledger import Ledger
from pegboard.stores.file import FileStore
root, me, entries = sys.argv[1], sys.argv[2], int(sys.argv[3])
ledger = Ledger(FileStore(root))
print("ready", flush=True)
sys.stdin.readline()
for number in range(entries):
    ledger.append(lambda state: {
        "action": "published", "name": "shared", "version": state.next_version("shared"), "reason": f"{me}-{number}",
    })
"""

NAMES = ("house", "wine", "a")
ALIASES = ("champion", "staging", "production")
NO_ENTRIES = {
    "empty": b"",
    "cut": b"{",
    "bytes": b"\xff",
    "new field": b'{"format": 1, "colour": 2}',
    "deep": b"[" * 100_000,
}
#: What cannot follow on :func:`three_entries`.
IMPOSSIBLE = [
    ("teleported", "house", 1),
    ("published", "house", 2),
    ("published", "house", 4),
    ("published", "house", "3"),
    ("promoted", "house", 3),
    ("rolled-back", "house", 0),
    ("promoted", "wine", 1),
]


def fresh(root: Path) -> Ledger:
    return Ledger(FileStore(root))


def append(root: Path, action: str, name: str, version: int, alias: str = "") -> Entry:
    fields = {"action": action, "name": name, "version": version, "alias": alias}
    return fresh(root).append(lambda _: fields)


def three_entries(root: Path) -> list[Path]:
    """Publish house/1 and house/2, point an alias at house/1; return the files."""
    append(root, "published", "house", 1)
    append(root, "published", "house", 2)
    append(root, "promoted", "house", 1, "staging")
    return sorted((root / "ledger").iterdir())


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changes))


def refusal(root: Path) -> str:
    with pytest.raises(RegistryError) as refused:
        fresh(root).state()
    return str(refused.value)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    counts: dict[str, int] = defaultdict(int)
    history = []
    for _ in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from(NAMES))
        if counts[name] == 0 or draw(st.booleans()):
            counts[name] += 1
            history.append({"action": "published", "name": name, "version": counts[name]})
        else:
            action, alias = draw(st.sampled_from(["promoted", "rolled-back"])), draw(st.sampled_from(ALIASES))
            version = draw(st.integers(1, counts[name]))
            history.append({"action": action, "name": name, "version": version, "alias": alias})
    return history


def model(history: list[dict[str, Any]]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    newest: dict[str, int] = {}
    aliases: dict[tuple[str, str], int] = {}
    for event in history:
        if event["action"] == "published":
            newest[event["name"]] = event["version"]
        else:
            aliases[event["name"], event["alias"]] = event["version"]
    return newest, aliases


def facts(state: State) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    for entries in state.published.values():
        assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    return {name: len(entries) for name, entries in state.published.items()}, dict(state.aliases)


@settings(max_examples=60)
@given(history=histories())
def test_any_history_replays_to_the_same_versions_and_aliases(history: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        written = [fresh(Path(root)).append(lambda _, fields=fields: fields) for fields in history]
        reader = fresh(Path(root))
        read = reader.entries()

        assert list(read) == written
        assert facts(reader.state()) == model(history)
        for moment in range(len(history) + 1):
            assert facts(replay(read[:moment])) == model(history[:moment])


def test_an_empty_ledger_has_no_state_and_reading_it_makes_nothing(tmp_path: Path) -> None:
    ledger = fresh(tmp_path / "none")

    assert ledger.entries() == ()
    assert ledger.state() == State({}, {})
    assert list(tmp_path.iterdir()) == []


def test_each_entry_holds_the_hash_of_the_file_before_it(tmp_path: Path) -> None:
    files = three_entries(tmp_path)

    hashes = [FIRST, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)]
    assert [json.loads(file.read_bytes())["previous"] for file in files] == hashes[:3]


@pytest.mark.parametrize("given_name", ["nightly-build", ""])
def test_an_entry_says_who_wrote_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_name: str) -> None:
    monkeypatch.setenv("PEGBOARD_ACTOR", given_name)
    monkeypatch.setenv("LOGNAME", "somebody")
    assert append(tmp_path, "published", "house", 1).actor == (given_name or "somebody")


def test_a_user_without_a_name_is_written_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEGBOARD_ACTOR", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: {}["no name for this uid"])
    assert append(tmp_path, "published", "house", 1).actor.startswith("uid ")


@pytest.mark.parametrize(("changed", "found_by"), [(0, 2), (1, 3)])
def test_a_changed_entry_is_refused_by_number(tmp_path: Path, changed: int, found_by: int) -> None:
    rewrite(three_entries(tmp_path)[changed], reason="it was always so")
    assert refusal(tmp_path) == f"{tmp_path}: ledger entry {changed + 1} was changed after {found_by} was written"


@pytest.mark.parametrize(("removed", "after"), [(0, "00000002.json"), (1, "00000003.json")])
def test_a_removed_entry_is_refused_by_number(tmp_path: Path, removed: int, after: str) -> None:
    three_entries(tmp_path)[removed].unlink()
    assert refusal(tmp_path) == f"{tmp_path}: ledger entry {removed + 1} is missing; the ledger ends before {after}"


def test_an_entry_under_another_number_is_refused(tmp_path: Path) -> None:
    last = three_entries(tmp_path)[2]
    moved = last.rename(last.with_name("00000004.json"))
    assert "ledger entry 3 is missing" in refusal(tmp_path)

    rewrite(moved, number=4)
    moved.rename(last)
    assert "ledger entry 3 is missing" in refusal(tmp_path)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("content", NO_ENTRIES.values(), ids=NO_ENTRIES)
def test_an_entry_that_is_none_is_refused_by_its_file(tmp_path: Path, which: int, content: bytes) -> None:
    file = three_entries(tmp_path)[which]
    file.write_bytes(content)
    assert refusal(tmp_path).startswith(f"{file} is not a ledger entry: ")


def test_a_file_that_is_no_entry_is_refused_by_its_name(tmp_path: Path) -> None:
    three_entries(tmp_path)
    (tmp_path / "ledger" / "00000003.json.orig").write_bytes(b"left by an editor")
    assert "00000003.json.orig is not a ledger entry" in refusal(tmp_path)


def test_an_unknown_action_is_refused_by_its_file(tmp_path: Path) -> None:
    file = three_entries(tmp_path)[2]
    rewrite(file, action="teleported")
    assert refusal(tmp_path) == f"{file}: unknown action 'teleported'"


def test_a_future_format_is_refused_before_its_fields_are_looked_at(tmp_path: Path) -> None:
    file = three_entries(tmp_path)[2]
    file.write_text('{"format": 2, "what": "nobody here knows"}')
    assert refusal(tmp_path) == f"{file} has format 2; this Pegboard reads format 1"


@pytest.mark.parametrize(("name", "version"), [("house", 3), ("house", 0), ("house", -1), ("wine", 1)])
def test_an_alias_at_a_version_that_was_never_published_is_refused(tmp_path: Path, name: str, version: int) -> None:
    rewrite(three_entries(tmp_path)[2], name=name, version=version)
    assert refusal(tmp_path) == f"ledger entry 3 points 'staging' at {name}/{version}, which was never published"


@pytest.mark.parametrize("version", [1, 3, 0])
def test_a_version_published_out_of_turn_is_refused(tmp_path: Path, version: int) -> None:
    three_entries(tmp_path)[2].unlink()
    rewrite(tmp_path / "ledger" / "00000002.json", version=version)
    assert refusal(tmp_path) == f"ledger entry 2 publishes house/{version} out of turn"


@pytest.mark.parametrize("wrong", [{"version": "1"}, {"version": 1.0}, {"version": None}, {"name": []}, {"alias": {}}])
def test_a_field_of_another_type_is_refused_by_its_file(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = three_entries(tmp_path)[2]
    rewrite(file, **wrong)
    assert str(file) in refusal(tmp_path)


@pytest.mark.parametrize(("action", "name", "version"), IMPOSSIBLE)
def test_what_could_not_be_read_back_is_never_written(tmp_path: Path, action: str, name: str, version: Any) -> None:
    before = {file: file.read_bytes() for file in three_entries(tmp_path)}

    with pytest.raises(RegistryError, match=r"entry 4|00000004"):
        append(tmp_path, action, name, version, "staging")

    assert {file: file.read_bytes() for file in (tmp_path / "ledger").iterdir()} == before
    assert append(tmp_path, "published", "house", 3).number == 4


def test_a_refusal_by_make_writes_nothing(tmp_path: Path) -> None:
    def refuse(state: State) -> dict[str, Any]:
        raise RegistryError(f"no: there are {len(state.published)} names already")

    three_entries(tmp_path)
    with pytest.raises(RegistryError, match="no: there are 1 names already"):
        fresh(tmp_path).append(refuse)
    assert len(fresh(tmp_path).entries()) == 3


def test_a_writer_that_lost_the_race_decides_again_on_the_new_state(tmp_path: Path) -> None:
    seen: list[int] = []

    def make(state: State) -> dict[str, Any]:
        seen.append(state.next_version("house"))
        if len(seen) < 3:
            append(tmp_path, "published", "house", seen[-1])
        return {"action": "published", "name": "house", "version": seen[-1]}

    entry = fresh(tmp_path).append(make)

    assert seen == [1, 2, 3]
    assert (entry.number, entry.version) == (3, 3)
    assert facts(fresh(tmp_path).state()) == ({"house": 3}, {})


def test_a_writer_that_always_loses_gives_up_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.ledger.MOST_ATTEMPTS", 3)

    def make(state: State) -> dict[str, Any]:
        append(tmp_path, "published", "house", state.next_version("house"))
        return {"action": "published", "name": "house", "version": state.next_version("house")}

    with pytest.raises(RegistryError) as refused:
        fresh(tmp_path).append(make)

    assert str(refused.value) == f"{tmp_path}: 3 other writers were first; try again"
    assert facts(fresh(tmp_path).state()) == ({"house": 3}, {})


def test_processes_that_append_at_once_lose_no_entry_and_number_them_without_gaps(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path), me, "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for me in "abcd"
    ]
    assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 4
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)

    entries = fresh(tmp_path).entries()
    assert [process.returncode for process in processes] == [0] * 4
    assert [(entry.number, entry.version) for entry in entries] == [(n, n) for n in range(1, 101)]
    for me in "abcd":
        assert [e.reason for e in entries if e.reason.startswith(me)] == [f"{me}-{n}" for n in range(25)]
