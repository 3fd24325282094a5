"""The store on a disk: what only a disk can do wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pegboard.errors import RegistryError
from pegboard.stores.file import PARTIAL, FileStore

#: Fills a disk of one megabyte, and says what became of the store on it.
FULL_DISK = """
import json, sys
from pathlib import Path
from pegboard.errors import RegistryError
from pegboard.stores.file import FileStore
root = Path(sys.argv[1])
store = FileStore(root / "registry")
said = []
def create(key, size):
    try:
        return store.create(key, key[-1].encode() * size)
    except RegistryError as error:
        said.append(str(error))
created = [create("ledger/1", 100_000), create("ledger/2", 2_000_000), create("deep/down/2", 2_000_000)]
(root / "filler").write_bytes(b"")
with (root / "filler").open("ab", buffering=0) as filler:
    try:
        while filler.write(b"x" * 4096): pass
    except OSError: pass
created.append(create("ledger/3", 1))
try: store.check_writable()
except RegistryError as error: said.append(str(error))
before = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
(root / "filler").unlink()
created.append(create("ledger/2", 10))
print(json.dumps({"created": created, "said": said, "files": before, "names": store.names("ledger"),
                  "whole": store.read("ledger/1") == b"1" * 100_000}))
"""


def files_under(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def leftovers(root: Path) -> list[Path]:
    return list((root / PARTIAL).iterdir())


def on_a_small_disk(directory: Path, program: str) -> str:
    """Run a program with the path of a disk of one megabyte that only it can see; return what it prints."""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0"'
    for unshare in ("unshare --mount", "unshare --map-root-user --mount"):
        shell = ["sh", "-c", f'exec {unshare} sh -c \'{mount} && exec "$@"\' "$@"', "sh", str(directory)]
        if subprocess.run([*shell, "true"], check=False, capture_output=True).returncode == 0:
            command = [*shell, sys.executable, "-c", program, str(directory)]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    reason = "no small disk can be mounted here: it takes root, or user namespaces"
    return pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)


def test_a_full_disk_changes_nothing_leaves_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    found = json.loads(on_a_small_disk(tmp_path, FULL_DISK))

    remedy = "[Errno 28] No space left on device; make room on the disk; nothing was changed"
    assert found["created"] == [True, None, None, None, True]
    assert found["said"] == [f"cannot write to the registry at {tmp_path}/registry: {remedy}"] * len(found["said"])
    assert len(found["said"]) >= 3
    assert found["files"] == ["filler", "registry/ledger/1"]
    assert found["names"] == ["1", "2"]
    assert found["whole"]


@pytest.mark.parametrize("verb", ["create", "read", "names", "delete", "modified", "local"])
@pytest.mark.parametrize("link", ["a directory", "a file", "nothing yet", "the root's parent"])
def test_a_symbolic_link_that_leads_out_of_the_root_is_refused(tmp_path: Path, verb: str, link: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "root-outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    target = {"a directory": outside, "a file": outside / "secret", "nothing yet": outside / "new"}.get(
        link, Path("..")
    )
    (root / "link").symlink_to(target)
    key = "link" if link in ("a file", "nothing yet") else "link/secret" if link == "a directory" else "link/x"
    more = {"create": (b"escaped",), "local": ("0" * 64,)}.get(verb, ())

    with pytest.raises(RegistryError) as refusal:
        getattr(FileStore(root), verb)(key, *more)

    assert str(refusal.value) == f"{key!r} leads out of {root} by a symbolic link; remove the link"
    assert files_under(outside) == {"secret": b"secret"}
    assert {path.name for path in tmp_path.iterdir()} == {"root", "root-outside"}


def test_a_root_that_is_itself_a_link_and_links_that_stay_inside_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real" / "a").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "inside").symlink_to("a")
    store = FileStore(tmp_path / "root")

    assert store.create("inside/k", b"1")
    assert store.read("a/k") == b"1"


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


@pytest.mark.parametrize("verb", ["read", "names"])
def test_a_root_that_is_a_file_is_an_error_that_names_it(tmp_path: Path, verb: str) -> None:
    root = tmp_path / "a-file"
    root.write_bytes(b"not a registry")

    with pytest.raises(RegistryError) as refusal:
        getattr(FileStore(root), verb)("ledger")

    assert str(root) in str(refusal.value)


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
    assert leftovers(tmp_path) == []


def test_writing_below_a_file_is_an_error_that_names_the_registry_and_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("a", b"a file")

    with pytest.raises(RegistryError, match="cannot write to the registry at ") as refusal:
        store.create("a/b", b"lost")

    assert str(tmp_path) in str(refusal.value)
    assert files_under(tmp_path) == {"a": b"a file"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("verb", ["create", "check_writable"])
def test_a_root_below_a_file_is_an_error_that_names_the_registry_and_leaves_nothing(tmp_path: Path, verb: str) -> None:
    (tmp_path / "a").write_bytes(b"a file")

    with pytest.raises(RegistryError, match="cannot write to the registry at ") as refusal:
        getattr(FileStore(tmp_path / "a" / "root"), verb)(*(("k", b"lost") if verb == "create" else ()))

    assert str(tmp_path / "a" / "root") in str(refusal.value)
    assert files_under(tmp_path) == {"a": b"a file"}


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
