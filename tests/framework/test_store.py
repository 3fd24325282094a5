"""Every store: keys stay inside it, and of all who create a key exactly one does, whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.errors import RegistryError
from pegboard.stores import Store, check_key, open_store

#: Waits at a gate (a line on standard input), then tries to create keys 0 to N-1 and prints those it won.
CONTENDER = """
import sys
from pegboard.stores import open_store
location, mark, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(location)
print("ready", flush=True)
sys.stdin.readline()
print(*[key for key in range(keys) if store.create(f"contended/{key}", mark.encode() * 20_000)])
"""

NO_KEYS = [
    *("", "/", "//", ".", "..", "../x", "a/..", "a/../../x", "./a", "a/./b", "a//b", "a/", "/etc/x"),
    *(
        "a\0b",
        "a\nb",
        "a\n",
        "a\\b",
        "..\\x",
        "%2e%2e",
        "a/%2e%2e/b",
        ".hidden",
        "a/.writable",
        "a b",
        "é",
        "a?b",
        "a#b",
    ),
]


@pytest.fixture(params=["file", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "root") if request.param == "file" else request.getfixturevalue("bucket")


@pytest.fixture
def store(location: str) -> Store:
    return open_store(location)


def under(store: Store, prefix: str) -> dict[str, bytes]:
    return {f"{prefix}/{name}": store.read(f"{prefix}/{name}", fresh=True) for name in store.names(prefix)}


@pytest.mark.parametrize("verb", ["create", "read", "names", "delete", "modified", "local"])
def test_a_key_that_is_no_plain_path_inside_the_store_is_refused(store: Store, tmp_path: Path, verb: str) -> None:
    more = {"create": (b"escaped",), "local": ("0" * 64,)}.get(verb, ())
    for key in NO_KEYS:
        with pytest.raises(RegistryError) as refusal:
            getattr(store, verb)(key, *more)
        assert str(refusal.value) == f"{key!r} is not a key inside {store}"

    assert list(tmp_path.iterdir()) == []


@given(text=st.text(st.sampled_from("aZ09._-/\\\0%~ \né"), max_size=12))
def test_a_key_is_a_path_of_names_that_begin_with_no_dot_and_no_dash(text: str) -> None:
    allowed = set("aZ09._-")
    plain = all(part and part[0] not in ".-" and set(part) <= allowed for part in text.split("/"))
    try:
        assert check_key(text, "here") == text
        accepted = True
    except RegistryError:
        accepted = False
    assert accepted == plain


def test_a_location_is_opened_and_named_as_it_was_given(store: Store, location: str) -> None:
    assert str(store) == location


def test_what_was_created_is_read_back_and_listed_in_order(store: Store) -> None:
    contents = {"b": b"", "a": bytes(range(256)), "deep/down/c": b"\r\n\0", "deep/a-b": b"1", "deep/a.b": b"2"}

    assert [store.create(key, data) for key, data in contents.items()] == [True] * 5

    for fresh in (True, False, False):
        assert {key: store.read(key, fresh) for key in contents} == contents
    assert store.names("deep") == ["a-b", "a.b", "down"]
    assert store.names("deep/down") == ["c"]
    assert store.names("nothing/here") == []


def test_many_keys_are_read_in_the_order_in_which_they_are_asked_for(store: Store) -> None:
    keys = [f"many/{number}" for number in (5, 3, 9, 1, 7)]
    for key in keys:
        store.create(key, key.encode())

    assert store.read_many(keys[:2]) == [key.encode() for key in keys[:2]]
    for fresh in (True, False):
        assert store.read_many(keys, fresh) == [key.encode() for key in keys]
    assert store.read_many([]) == []
    with pytest.raises(RegistryError, match=f"{store} holds no many/2"):
        store.read_many([*keys, "many/2"])


def test_names_behind_one_are_those_that_sort_after_it_whether_it_exists_or_not(store: Store) -> None:
    for key in ("n/c", "n/b/deeper", "n/b/deep", "n/a-b", "n/a"):
        store.create(key, b"")

    assert store.names("n") == ["a", "a-b", "b", "c"]
    assert store.names("n", "a") == ["a-b", "b", "c"]
    assert store.names("n", "aa") == ["b", "c"]
    assert store.names("n", "b") == ["c"]
    assert store.names("n", "c") == []


def test_more_names_than_fit_a_page_are_all_listed_once_in_order(store: Store) -> None:
    expected = [f"{number:08d}.json" for number in range(1, 1206)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: store.create(f"ledger/{name}", b"{}"), reversed(expected)))

    assert store.names("ledger") == expected
    assert store.names("ledger", "00000003.json") == expected[3:]
    assert store.names("ledger", "00001204.json") == ["00001205.json"]
    assert store.names("ledger", "00001205.json") == []


def test_a_second_create_keeps_the_first_content(store: Store) -> None:
    assert store.create("k/1", b"first")
    assert not store.create("k/1", b"second")
    assert not store.create("k/1", b"")

    assert under(store, "k") == {"k/1": b"first"}


def test_reading_what_is_not_there_names_the_key_and_makes_nothing(store: Store, tmp_path: Path) -> None:
    for fresh in (True, False):
        with pytest.raises(RegistryError) as refusal:
            store.read("a/b", fresh)
        assert str(refusal.value) == f"{store} holds no a/b"

    assert store.names("a") == []
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_key_is_gone_and_may_be_created_again(store: Store) -> None:
    store.create("d/1", b"first")
    store.create("d/2", b"other")
    assert store.read("d/1") == b"first"

    store.delete("d/1")
    store.delete("d/1")
    store.delete("never/there")

    with pytest.raises(RegistryError, match="holds no d/1"):
        store.read("d/1")
    assert store.names("d") == ["2"]
    assert store.create("d/1", b"second")
    assert store.read("d/1") == b"second"


def test_the_time_of_a_key_is_when_it_was_created_in_utc(store: Store) -> None:
    before = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)  # a file's clock lags by a tick
    store.create("m/1", b"x")
    after = datetime.now(UTC) + timedelta(seconds=1)

    modified = store.modified("m/1")

    assert modified.utcoffset() == timedelta(0)
    assert before <= modified <= after
    with pytest.raises(RegistryError, match=f"{store} holds no m/2"):
        store.modified("m/2")


def test_trying_whether_a_store_can_be_written_shows_nowhere_and_can_be_repeated(store: Store) -> None:
    store.create("w/1", b"x")

    store.check_writable()
    store.check_writable()

    assert store.names("w") == ["1"]


def test_of_many_threads_exactly_one_creates_each_key_and_its_content_is_whole(store: Store) -> None:
    threads, keys = 8, 12
    gates = [threading.Barrier(threads) for _ in range(keys)]

    def contend(me: int) -> list[int]:
        won = []
        for key, gate in enumerate(gates):
            gate.wait(timeout=60)
            if store.create(f"contended/{key}", bytes([me]) * 50_000):
                won.append(key)
        return won

    with ThreadPoolExecutor(threads) as pool:
        wins = dict(enumerate(pool.map(contend, range(threads))))

    assert sorted(key for won in wins.values() for key in won) == list(range(keys))
    expected = {f"contended/{key}": bytes([me]) * 50_000 for me, won in wins.items() for key in won}
    assert under(store, "contended") == expected


def test_of_several_processes_exactly_one_creates_each_key_and_its_content_is_whole(store: Store) -> None:
    keys = 40
    processes = {
        mark: subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(store), mark, str(keys)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for mark in "abcd"
    }
    assert [process.stdout.readline() for process in processes.values()] == ["ready\n"] * 4
    for process in processes.values():
        process.stdin.write("go\n")
        process.stdin.flush()
    wins = {mark: process.communicate(timeout=120)[0].split() for mark, process in processes.items()}

    assert [process.returncode for process in processes.values()] == [0] * 4
    assert sorted(int(key) for won in wins.values() for key in won) == list(range(keys))
    expected = {f"contended/{key}": mark.encode() * 20_000 for mark, won in wins.items() for key in won}
    assert under(store, "contended") == expected
