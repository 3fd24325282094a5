"""The cache: a download goes on where it was cut off, and nothing wrong is ever kept under a right name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from pegboard import bundle as bundles
from pegboard.errors import BundleError, RegistryError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.signature import Feature, Signature
from pegboard.stores import Fetch, StoreAway
from pegboard.stores.cache import cache_directory
from pegboard.stores.s3 import CHUNK_BYTES, S3Store

PREFIX = "bundles/house/1"
PIPELINE = bytes(range(256)) * 4096 * 6 + b"odd"
FILES = {bundles.PIPELINE: PIPELINE, bundles.REPLAY: b"{}\n", "empty.txt": b""}
#: More than the headers of a few answers and what the gateway holds in its hand, and far less than the pipeline.
LITTLE = 200_000

#: Downloads the pipeline; with "stop", says so after two chunks, and goes no further.
FETCHING = """
import sys
from pegboard.stores.s3 import S3Store
location, prefix, digest, stop = sys.argv[1:]
store, give = S3Store(location), S3Store._part
def part(self, key, start, size):
    for number, chunk in enumerate(give(self, key, start, size)):
        if number == 2 and stop == "stop":
            print("two chunks", flush=True)
            sys.stdin.read()
        yield chunk
S3Store._part = part
print("ready", flush=True)
sys.stdin.readline()
store.local(prefix, digest)[1]("pipeline.joblib")
"""


@pytest.fixture
def store(gateway: Any, bucket: str) -> S3Store:
    return S3Store(bucket)


@pytest.fixture
def digest(store: S3Store, tmp_path: Path) -> str:
    manifest = {
        "name": "house",
        "model": "linear",
        "python": "3",
        "plugins": [],
        **{key: {} for key in ("libraries", "metrics", "data")},
        "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
        "signature": Signature("regression", (Feature("area", "number"),), "price").to_dict(),
        "leaderboard": Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0))]).to_dict(),
    }
    bundle = bundles.write(tmp_path / "made", manifest, FILES)
    for name in (*FILES, bundles.MANIFEST):
        store.create(f"{PREFIX}/{name}", (bundle.directory / name).read_bytes())
    return bundle.digest


@pytest.fixture
def local(store: S3Store, digest: str) -> tuple[Path, Fetch]:
    return store.local(PREFIX, digest)


def replace(store: S3Store, name: str, data: bytes) -> None:
    boto3.client("s3").put_object(Bucket=store.bucket, Key=f"registry/{PREFIX}/{name}", Body=data)


def part_of(directory: Path, name: str = bundles.PIPELINE) -> Path:
    return directory.parent.parent / "partial" / directory.name / f"{name}.part"


def test_a_fetched_bundle_is_whole_and_holds_nothing_else(local: tuple[Path, Fetch], digest: str) -> None:
    directory, fetch = local
    bundle = bundles.open_bundle(directory, digest, fetch)

    assert {name: bundle.read(name) for name in FILES} == FILES
    bundles.verify(bundle)
    assert directory == cache_directory() / "bundles" / digest
    assert sorted(path.name for path in directory.iterdir()) == sorted([*FILES, bundles.MANIFEST])


def test_only_the_file_that_is_asked_for_is_downloaded_and_only_once(local: Any, gateway: Any) -> None:
    directory, fetch = local
    fetch(bundles.REPLAY)
    before, gateway.sent = gateway.sent, 0
    fetch(bundles.REPLAY)

    assert before < LITTLE + len(PIPELINE)
    assert gateway.sent == 0
    assert sorted(path.name for path in directory.iterdir()) == [bundles.MANIFEST, bundles.REPLAY]


def test_a_download_that_was_cut_off_is_continued_where_it_stopped(local: Any, gateway: Any) -> None:
    directory, fetch = local
    fetch(bundles.MANIFEST)
    gateway.allowance = 3 * CHUNK_BYTES + CHUNK_BYTES // 2
    with pytest.raises(StoreAway, match="cannot be reached"):
        fetch(bundles.PIPELINE)
    assert not (directory / bundles.PIPELINE).exists()
    there = part_of(directory).stat().st_size
    assert there >= 3 * CHUNK_BYTES

    gateway.allowance, gateway.sent = sys.maxsize, 0
    fetch(bundles.PIPELINE)

    assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE
    assert len(PIPELINE) - there <= gateway.sent < len(PIPELINE) - there + LITTLE
    assert not part_of(directory).exists()


def ready(store: S3Store, digest: str, stop: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCHING, str(store), PREFIX, digest, stop]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_download_whose_process_was_killed_is_continued_by_another(
    local: Any, store: S3Store, digest: str, gateway: Any
) -> None:
    directory, fetch = local
    process = ready(store, digest, "stop")
    go(process)
    assert process.stdout.readline() == "two chunks\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (directory / bundles.PIPELINE).exists()
    there = part_of(directory).stat().st_size
    assert there >= CHUNK_BYTES

    gateway.sent = 0
    fetch(bundles.PIPELINE)

    assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE
    assert len(PIPELINE) - there <= gateway.sent < len(PIPELINE) - there + LITTLE


def test_of_many_who_fetch_the_same_file_one_downloads_it_and_all_have_it_whole(
    local: Any, store: S3Store, digest: str, gateway: Any
) -> None:
    directory, fetch = local
    fetch(bundles.MANIFEST)
    processes = [ready(store, digest, "go on") for _ in range(3)]
    gateway.sent = 0
    with ThreadPoolExecutor(7) as pool:
        list(pool.map(go, processes))
        list(pool.map(fetch, [bundles.PIPELINE] * 4))

    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 3
    assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE
    assert gateway.sent < len(PIPELINE) + LITTLE


@pytest.mark.parametrize("name", [bundles.MANIFEST, bundles.PIPELINE, "empty.txt"])
@pytest.mark.parametrize("damage", [b"", b"short", PIPELINE + b"more", PIPELINE[:-1] + b"D"])
def test_a_damaged_file_in_the_cache_is_fetched_anew(local: Any, name: str, damage: bytes) -> None:
    directory, fetch = local
    fetch(name)
    whole = (directory / name).read_bytes()
    (directory / name).write_bytes(damage)

    fetch(name)

    assert (directory / name).read_bytes() == whole


@pytest.mark.parametrize("spoilt", [b"not the beginning", PIPELINE + b"more", b"X" * len(PIPELINE)])
def test_a_partial_file_that_is_not_the_beginning_of_the_file_is_begun_anew(local: Any, spoilt: bytes) -> None:
    directory, fetch = local
    fetch(bundles.MANIFEST)
    part_of(directory).parent.mkdir(parents=True, exist_ok=True)
    part_of(directory).write_bytes(spoilt)

    fetch(bundles.PIPELINE)

    assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE


@pytest.mark.parametrize("altered", [PIPELINE[:-1] + b"X", PIPELINE[:-1], b""])
@pytest.mark.parametrize("name", [bundles.MANIFEST, bundles.PIPELINE])
def test_a_file_that_was_altered_in_the_store_is_refused_and_not_kept(
    local: Any, store: S3Store, name: str, altered: bytes
) -> None:
    directory, fetch = local
    replace(store, name, altered if name == bundles.PIPELINE else altered[:1000])
    with pytest.raises(
        BundleError, match=f"{name} in the registry does not have the digest .* altered or cut: restore"
    ):
        fetch(name)

    assert not (directory / name).exists()
    assert not part_of(directory, name).exists()


def test_what_somebody_has_put_behind_the_end_of_a_file_is_not_even_asked_for(local: Any, store: S3Store) -> None:
    directory, fetch = local
    replace(store, bundles.PIPELINE, PIPELINE + b"X")

    fetch(bundles.PIPELINE)

    assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE


def bad_manifest(store: S3Store, digest: str, **files: Any) -> str:
    """Put a bundle into the store whose manifest has its digest, and names these files; return the digest."""
    manifest = json.loads(store.read(f"{PREFIX}/{bundles.MANIFEST}", fresh=True))
    data = json.dumps(manifest | {"files": manifest["files"] | files}).encode()
    replace(store, bundles.MANIFEST, data)
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/b", "..", ".", "", "a\0b", ".hidden"])
def test_a_file_name_that_leads_elsewhere_is_refused_whether_the_manifest_has_it_or_not(
    local: Any, store: S3Store, digest: str, name: str
) -> None:
    with pytest.raises(BundleError, match="the manifest knows no file"):
        local[1](name)

    bad = bad_manifest(store, digest, **{name: {"size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}})
    with pytest.raises(BundleError, match=f"{bundles.MANIFEST} names {re.escape(repr(name))}"):
        store.local(PREFIX, bad)[1](name)

    assert [path.name for path in cache_directory().parent.rglob("*escaped*")] == []


def test_a_cache_that_is_deleted_at_any_time_is_made_anew(local: Any, store: S3Store) -> None:
    directory, fetch = local
    store.create("ledger/1", b"one")
    for _ in range(2):
        fetch(bundles.PIPELINE)
        assert store.read("ledger/1") == b"one"
        assert (directory / bundles.PIPELINE).read_bytes() == PIPELINE
        shutil.rmtree(cache_directory())


def test_a_cache_that_cannot_be_written_stops_a_bundle_and_nothing_else(
    store: S3Store, digest: str, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = S3Store(bucket, tmp_path / "file" / "cache")
    store.create("ledger/1", b"one")

    assert [store.read("ledger/1"), store.read("ledger/1")] == [b"one"] * 2
    with pytest.raises(RegistryError, match=r"cannot write to the cache at .*; make room, or set PEGBOARD_CACHE"):
        store.local(PREFIX, digest)[1](bundles.MANIFEST)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"PEGBOARD_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/pegboard"),
        ({"PEGBOARD_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/pegboard"),
        ({"PEGBOARD_CACHE": "here"}, f"{os.getcwd()}/here"),
    ],
)
def test_the_directory_is_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], expected: str
) -> None:
    for name in ("PEGBOARD_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)
