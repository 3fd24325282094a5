"""The store: keys stay inside the root, and of all who create a key exactly one does, whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.errors import RegistryError
from pegboard.store import PARTIAL, FileStore

#: Waits at a gate (a line on standard input), then tries to create keys 0 to N-1 and prints those it won.
CONTENDER = """
import sys
from pegboard.store import FileStore
root, mark, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = FileStore(root)
print("ready", flush=True)
sys.stdin.readline()
print(*[key for key in range(keys) if store.create(f"contended/{key}", mark.encode() * 20_000)])
"""


def files_under(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def leftovers(root: Path) -> list[Path]:
    return list((root / PARTIAL).iterdir())


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../../x", "a/..", "..", ".", "./a", "a/./b", "", "/", "/etc/x", "a//b", "a/", "a\0b", "a\\b", "..\\x"],
)
@pytest.mark.parametrize("verb", ["path", "create", "read", "names"])
def test_a_key_that_is_no_plain_path_inside_the_root_is_refused(tmp_path: Path, verb: str, key: str) -> None:
    root = tmp_path / "root"
    arguments = (key, b"escaped") if verb == "create" else (key,)

    with pytest.raises(RegistryError) as refusal:
        getattr(FileStore(root), verb)(*arguments)

    assert str(refusal.value) == f"{key!r} is not a key inside {root}"
    assert list(tmp_path.iterdir()) == []


@given(key=st.text(st.sampled_from("ab./\\\0~ é"), max_size=12))
def test_every_key_is_either_refused_or_strictly_inside_the_root(key: str) -> None:
    store = FileStore("/nowhere/root")
    try:
        path = store.path(key)
    except RegistryError:
        return
    assert os.path.normpath(path) == str(path)
    assert store.root in path.parents
    assert str(path.relative_to(store.root)) == key


def test_a_relative_root_stays_where_it_was_when_the_process_changes_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileStore("here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    store.create("a", b"1")

    assert (tmp_path / "here" / "a").read_bytes() == b"1"
    assert str(store) == str(tmp_path / "here")


def test_what_was_created_is_read_back_and_listed_in_order(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    contents = {"b": b"", "a": bytes(range(256)), "deep/down/c": b"\r\n\0"}

    assert [store.create(key, data) for key, data in contents.items()] == [True] * 3

    assert {key: store.read(key) for key in contents} == contents
    assert store.names("deep") == ["down"]
    assert store.names("deep/down") == ["c"]
    for number in range(30, 10, -1):
        store.create(f"many/{number}", b"")
    assert store.names("many") == [str(number) for number in range(11, 31)]


def test_a_second_create_keeps_the_first_content(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    assert store.create("k", b"first")
    assert not store.create("k", b"second")

    assert files_under(tmp_path) == {"k": b"first"}


def test_reading_what_is_not_there_names_the_key_and_makes_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "root")

    with pytest.raises(RegistryError) as refusal:
        store.read("a/b")

    assert str(refusal.value) == f"{tmp_path / 'root'} holds no a/b"
    assert store.names("a") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["read", "names"])
def test_a_root_that_is_a_file_is_an_error_that_names_it(tmp_path: Path, verb: str) -> None:
    root = tmp_path / "a-file"
    root.write_bytes(b"not a registry")

    with pytest.raises(RegistryError) as refusal:
        getattr(FileStore(root), verb)("ledger")

    assert str(root) in str(refusal.value)


def test_of_many_threads_exactly_one_creates_each_key_and_its_content_is_whole(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
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
    assert files_under(tmp_path) == {
        f"contended/{key}": bytes([me]) * 50_000 for me, won in wins.items() for key in won
    }
    assert leftovers(tmp_path) == []


def test_of_several_processes_exactly_one_creates_each_key_and_its_content_is_whole(tmp_path: Path) -> None:
    keys = 40
    processes = {
        mark: subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(tmp_path), mark, str(keys)],
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
    wins = {mark: process.communicate(timeout=60)[0].split() for mark, process in processes.items()}

    assert [process.returncode for process in processes.values()] == [0] * 4
    assert sorted(int(key) for won in wins.values() for key in won) == list(range(keys))
    assert files_under(tmp_path) == {
        f"contended/{key}": mark.encode() * 20_000 for mark, won in wins.items() for key in won
    }
    assert leftovers(tmp_path) == []


def test_a_reader_never_sees_a_part_of_what_is_written(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    whole = b"x" * 2_000_000
    seen: set[int] = set()
    written = threading.Event()

    def watch() -> None:
        last = False
        while not last:
            last = written.is_set()
            seen.update(path.stat().st_size for path in tmp_path.glob("seen/*"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for key in range(40):
            store.create(f"seen/{key}", whole)
    finally:
        written.set()
        watcher.join()

    assert seen == {len(whole)}


def test_writing_below_a_file_is_an_error_that_names_the_registry_and_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("a", b"a file")

    with pytest.raises(RegistryError, match="cannot write to the registry at ") as refusal:
        store.create("a/b", b"lost")

    assert str(tmp_path) in str(refusal.value)
    assert files_under(tmp_path) == {"a": b"a file"}
    assert leftovers(tmp_path) == []


def test_a_root_below_a_file_is_an_error_that_names_the_registry_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file")

    with pytest.raises(RegistryError, match="cannot write to the registry at ") as refusal:
        FileStore(tmp_path / "a" / "root").create("k", b"lost")

    assert str(tmp_path / "a" / "root") in str(refusal.value)
    assert files_under(tmp_path) == {"a": b"a file"}


def test_a_full_disk_leaves_no_key_and_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(RegistryError) as refusal:
        FileStore(tmp_path).create("deep/k", b"lost")

    expected = f"cannot write to the registry at {tmp_path}: [Errno 28] No space left on device"
    assert str(refusal.value) == expected
    assert files_under(tmp_path) == {}
    assert leftovers(tmp_path) == []


def test_creating_syncs_the_data_and_every_directory_that_got_a_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    store.create("other", b"")
    synced: list[int] = []
    really_sync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.create("a/b/k", b"1")

    directories = {tmp_path / "a" / "b", tmp_path / "a", tmp_path}
    assert {path for path in directories if path.stat().st_ino in synced} == directories
    assert (tmp_path / "a" / "b" / "k").stat().st_ino in synced
