"""The store in a bucket: what it remembers of what was read, and what a server can do with that while it is away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from pegboard.errors import RegistryError
from pegboard.stores import StoreAway
from pegboard.stores.cache import cache_directory
from pegboard.stores.s3 import S3Store

NAMES = [f"{number:08d}.json" for number in range(1, 6)]


def fill(store: S3Store, names: list[str] = NAMES) -> dict[str, bytes]:
    contents = {f"ledger/{name}": f"entry {name}".encode() for name in names}
    assert [store.create(key, data) for key, data in contents.items()] == [True] * len(names)
    return contents


def follow(store: S3Store, after: str = "") -> dict[str, bytes]:
    """Read a ledger as its reader does."""
    return {f"ledger/{name}": store.read(f"ledger/{name}") for name in store.names("ledger", after)}


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "keys").rglob("*") if path.is_file())


def test_what_was_read_once_is_not_asked_for_again_by_this_process_or_another(gateway: Any, bucket: str) -> None:
    contents = fill(S3Store(bucket), ["1", "2", "3"])
    assert follow(S3Store(bucket)) == contents
    gateway.allowance = 0

    later = S3Store(bucket)
    assert {key: later.read(key) for key in contents} == contents
    assert later.read_many(list(contents)) == list(contents.values())
    program = (
        "import sys; from pegboard.stores.s3 import S3Store; print(S3Store(sys.argv[1]).read(sys.argv[2]).decode())"
    )
    command = [sys.executable, "-c", program, bucket, "ledger/1"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "entry 1\n"


def test_reading_afresh_asks_the_store_itself_and_keeps_nothing(gateway: Any, bucket: str) -> None:
    store = S3Store(bucket)
    contents = fill(store)
    assert store.read_many(list(contents), fresh=True) == list(contents.values())
    assert kept(cache_directory()) == []

    follow(store)
    boto3.client("s3").put_object(Bucket=store.bucket, Key=f"registry/ledger/{NAMES[1]}", Body=b"tampered")

    assert store.read(f"ledger/{NAMES[1]}", fresh=True) == b"tampered"
    gateway.allowance = 0
    with pytest.raises(StoreAway):
        store.read(f"ledger/{NAMES[0]}", fresh=True)


def test_what_the_listing_shows_to_be_rewritten_is_read_anew(bucket: str) -> None:
    """So a registry that was deleted and begun again does not answer with the entries of the old one."""
    contents = fill(S3Store(bucket))
    assert follow(S3Store(bucket)) == contents
    client, name = boto3.client("s3"), S3Store(bucket).bucket
    for key in contents:
        client.delete_object(Bucket=name, Key=f"registry/{key}")
    client.put_object(Bucket=name, Key=f"registry/ledger/{NAMES[0]}", Body=b"another beginning")

    for _ in range(2):
        assert follow(S3Store(bucket)) == {f"ledger/{NAMES[0]}": b"another beginning"}


@pytest.mark.parametrize("damage", [b"", b"\n", b"no header", b'"tag" 00\nentry', "cut"])
def test_a_damaged_file_in_the_cache_counts_as_none(bucket: str, damage: Any) -> None:
    store = S3Store(bucket)
    contents = fill(store)
    follow(store)
    for path in kept(cache_directory()):
        path.write_bytes(path.read_bytes()[:-1] if damage == "cut" else damage)

    assert follow(store) == contents
    assert {key: S3Store(bucket).read(key) for key in contents} == contents


def test_two_stores_do_not_answer_for_one_another(bucket: str) -> None:
    one, other = S3Store(f"{bucket}/one"), S3Store(f"{bucket}/other")
    one.create("ledger/1", b"one")
    other.create("ledger/1", b"other")

    for _ in range(2):
        assert [one.read("ledger/1"), other.read("ledger/1")] == [b"one", b"other"]


def test_a_server_goes_on_from_what_is_known_when_the_store_is_away(
    gateway: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    contents = fill(S3Store(bucket))
    follow(S3Store(bucket))
    gateway.allowance = 0
    server = S3Store(bucket, offline=True)

    with caplog.at_level(logging.WARNING, "pegboard"):
        assert follow(server) == contents
        assert follow(server, NAMES[2]) == {key: contents[key] for key in list(contents)[3:]}
        assert follow(server, NAMES[-1]) == {}
        gateway.allowance = sys.maxsize
        more = fill(S3Store(bucket), ["00000006.json"])
        assert follow(server, NAMES[-1]) == more

    away, back = (record.getMessage() for record in caplog.records)
    assert away.startswith(f"{bucket} cannot be reached: ")
    assert away.endswith("; going on from what was read before")
    assert back == f"{bucket} answers again"


def test_a_writer_does_not_take_what_is_known_for_what_is(gateway: Any, bucket: str) -> None:
    store = S3Store(bucket)
    fill(store)
    follow(store)
    gateway.allowance = 0

    with pytest.raises(StoreAway, match="cannot be reached"):
        store.names("ledger")
    for offline in (True, False):
        with pytest.raises(StoreAway, match="cannot be reached"):
            S3Store(bucket, offline=offline).create("ledger/00000006.json", b"x")


def test_a_server_that_knows_nothing_says_that_the_store_is_away_and_not_that_it_is_empty(
    gateway: Any, bucket: str
) -> None:
    fill(S3Store(bucket))
    gateway.allowance = 0

    with pytest.raises(StoreAway, match="cannot be reached"):
        S3Store(bucket, offline=True).names("ledger")


def test_what_is_refused_is_not_papered_over(gateway: Any, bucket: str) -> None:
    store = S3Store(bucket, offline=True)
    fill(store)
    follow(store)
    client = boto3.client("s3")
    for found in client.list_objects_v2(Bucket=store.bucket)["Contents"]:
        client.delete_object(Bucket=store.bucket, Key=found["Key"])
    client.delete_bucket(Bucket=store.bucket)

    with pytest.raises(RegistryError, match="make the bucket, or correct its name") as refusal:
        store.names("ledger")
    assert not isinstance(refusal.value, StoreAway)


def test_what_is_gone_from_the_store_is_not_known_any_more(gateway: Any, bucket: str) -> None:
    store = S3Store(bucket, offline=True)
    fill(store)
    follow(store)
    boto3.client("s3").delete_object(Bucket=store.bucket, Key=f"registry/ledger/{NAMES[-1]}")
    store.names("ledger")
    gateway.allowance = 0

    assert store.names("ledger") == NAMES[:-1]


def test_a_writer_killed_while_it_keeps_something_leaves_nothing_half_kept(bucket: str, tmp_path: Path) -> None:
    store = S3Store(bucket)
    contents = fill(store)
    program = (
        "import os, pathlib, sys; from pegboard.stores.s3 import S3Store\n"
        "pathlib.Path.replace = lambda *_: os._exit(9)\n"
        "S3Store(sys.argv[1]).read(sys.argv[2])"
    )
    killed = subprocess.run([sys.executable, "-c", program, bucket, f"ledger/{NAMES[0]}"], check=False)

    assert killed.returncode == 9
    assert kept(cache_directory()) == []
    assert len(os.listdir(cache_directory() / "partial")) == 1
    assert follow(store) == contents
