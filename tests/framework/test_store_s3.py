"""The store in a bucket: what only a bucket can do wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from pegboard.errors import RegistryError
from pegboard.stores.s3 import PROBE, S3Store


def keys_in(location: str) -> list[str]:
    bucket = location.split("/")[2]
    return [found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.mark.parametrize(
    "location",
    [
        *(
            "s3:bucket/x",
            "s3:///x",
            "s3://",
            "s3://ab",
            "s3://UPPER/x",
            "s3://a_b/x",
            "s3://a..b/x",
            "s3://user:pw@bucket/x",
        ),
        *(
            "s3://bucket:9000/x",
            "s3://-bucket/x",
            "s3://bucket?x=y",
            "s3://%2e%2e/x",
            "s3://bucke\0t/x",
            "S3://bucket/x",
        ),
    ],
)
def test_a_location_without_a_proper_bucket_is_refused_with_the_way_to_write_it(location: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        S3Store(location)
    assert str(refusal.value) == f"{location!r} names no bucket: write s3://bucket/prefix, the bucket as S3 calls it"


@pytest.mark.parametrize(
    "prefix", ["/x", "x//y", "../x", "x/..", "x/%2e%2e", ".x", "x y", "x?versionId=1", "x\0", "x//"]
)
def test_a_prefix_that_is_no_path_of_names_is_refused(prefix: str) -> None:
    with pytest.raises(RegistryError, match=re.escape(f"{prefix!r} is no prefix: write letters")):
        S3Store(f"s3://bucket/{prefix}")


def test_two_prefixes_of_a_bucket_and_the_bucket_itself_are_different_stores(bucket: str) -> None:
    root = bucket.removesuffix("/registry")
    S3Store(f"{root}/one").create("k", b"1")
    S3Store(f"{root}/one/two/").create("k", b"2")
    S3Store(f"{root}/").create("k", b"3")

    assert keys_in(bucket) == ["k", "one/k", "one/two/k"]
    read = [S3Store(location).read("k") for location in (f"{root}/one/", f"{root}/one/two", root)]
    assert read == [b"1", b"2", b"3"]
    assert str(S3Store(f"{root}/")) == root


def test_keys_that_others_have_put_there_and_that_could_not_be_ours_are_left_out(bucket: str) -> None:
    store, client = S3Store(bucket), boto3.client("s3")
    store.create("ledger/00000001.json", b"{}")
    for name in ("", ".DS_Store", "a b", "é", "x//y", "/", "100%", "a+b", ".hidden/deep", "notes.txt"):
        client.put_object(Bucket=store.bucket, Key=f"registry/ledger/{name}", Body=b"foreign")

    assert store.names("ledger") == ["00000001.json", "notes.txt", "x"]


def test_a_name_that_is_a_key_and_the_beginning_of_others_is_listed_once(bucket: str) -> None:
    store = S3Store(bucket)
    for key in ("n/a", "n/a/deep", "n/a-b", "n/b/deep"):
        assert store.create(key, key.encode())

    assert store.names("n") == ["a", "a-b", "b"]
    assert store.names("n", "a") == ["a-b", "b"]
    assert store.read("n/a") == b"n/a"
    assert store.read("n/a/deep") == b"n/a/deep"


def test_what_a_lost_answer_left_behind_counts_as_written(bucket: str) -> None:
    S3Store(bucket).create("ledger/1", b"with my nonce")

    assert S3Store(bucket).create("ledger/1", b"with my nonce")
    assert not S3Store(bucket).create("ledger/1", b"with another nonce")


def test_the_checksum_of_what_was_written_is_kept_beside_it(bucket: str) -> None:
    store = S3Store(bucket)
    store.create("k", b"content")

    head = boto3.client("s3").head_object(Bucket=store.bucket, Key="registry/k", ChecksumMode="ENABLED")

    assert head["ChecksumSHA256"] == "7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M="


def test_trying_to_write_leaves_one_empty_key_that_nobody_can_name(bucket: str) -> None:
    for _ in range(2):
        S3Store(bucket).check_writable()

    assert keys_in(bucket) == [f"registry/{PROBE}"]
    with pytest.raises(RegistryError, match="is not a key"):
        S3Store(bucket).read(PROBE)


def test_without_boto3_the_message_says_how_to_get_it(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(RegistryError) as refusal:
        S3Store(bucket)
    assert str(refusal.value) == f"{bucket} needs boto3: pip install 'pegboard[s3]'"


def test_boto3_is_imported_only_when_a_store_in_a_bucket_is_opened(tmp_path: Any) -> None:
    program = "import sys, pegboard.registry as r; r.Registry(sys.argv[1]); print('boto3' in sys.modules)"
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


class Echo(BaseHTTPRequestHandler):
    """Answers with the path that it was asked for, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"echo"')
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *arguments: object) -> None: ...


def test_a_fork_does_not_share_the_connections_of_its_parent(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        store = S3Store(bucket)
        store.read("before", fresh=True)

        children = [os.fork() or os._exit(_mistaken(store, child)) for child in range(4)]
        mistaken = [_mistaken(store, 4)]
        mistaken += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        server.shutdown()

    assert mistaken == [0] * 5


def _mistaken(store: S3Store, reader: int) -> int:
    """Return how many of 20 keys do not hold what they should; 99 if one could not be read."""
    try:
        keys = [f"reader-{reader}/{number}" for number in range(20)]
        return sum(not store.read(key, fresh=True).decode().endswith(f"/registry/{key}") for key in keys)
    except BaseException:
        return 99
