"""The store in a bucket: what it says when it is refused something, and when nobody answers."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pegboard.errors import RegistryError
from pegboard.stores import StoreAway, aws
from pegboard.stores.s3 import CONFLICTS, S3Store

ERROR = "<Error><Code>{}</Code><Message>said by the test</Message></Error>"
VERBS: dict[str, Callable[[S3Store], Any]] = {
    "create": lambda store: store.create("a/b", b"x"),
    "read": lambda store: store.read("a/b"),
    "names": lambda store: store.names("a"),
    "delete": lambda store: store.delete("a/b"),
    "modified": lambda store: store.modified("a/b"),
    "check_writable": lambda store: store.check_writable(),
}
every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


@pytest.fixture
def scripted(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[tuple[int, str]], list[str]]]:
    """Point AWS at a server that answers as it is told, in turn, the last answer ever again; and what it was asked."""
    answers: list[tuple[int, str]] = []
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            asked.append(f"{self.command} {self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()}")
            status, code = answers.pop(0) if len(answers) > 1 else answers[0]
            body = b"" if self.command == "HEAD" or not code else ERROR.format(code).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = _answer

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield answers, asked
        server.shutdown()


def test_a_store_that_ignores_conditions_is_found_out_before_anything_is_published(scripted: Any, bucket: str) -> None:
    answers, _ = scripted
    answers[:] = [(200, "")]

    with pytest.raises(RegistryError, match=r"replaces what exists .* use a store that knows conditional writes"):
        S3Store(bucket).check_writable()


def test_a_conflict_with_a_write_under_way_is_tried_again(scripted: Any, bucket: str) -> None:
    answers, asked = scripted
    answers[:] = [(409, "ConditionalRequestConflict"), (409, "ConditionalRequestConflict"), (200, "")]

    assert S3Store(bucket).create("k", b"x")
    assert asked == ["PUT x"] * 3


def test_a_conflict_without_end_is_given_up(scripted: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked = scripted
    answers[:] = [(409, "ConditionalRequestConflict")]
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)

    with pytest.raises(StoreAway, match=f"k was being written by others {CONFLICTS} times in a row; try again"):
        S3Store(bucket).create("k", b"x")

    assert asked == ["PUT x"] * CONFLICTS
    assert len(waited) == CONFLICTS
    assert 0 <= min(waited) < max(waited) <= 0.05 * 2**CONFLICTS


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError")])
@every_verb
def test_a_store_that_has_trouble_is_away(
    scripted: Any, bucket: str, verb: Any, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    scripted[0][:] = [(status, code)]
    with pytest.raises(StoreAway, match=f"^{bucket} does not answer now: "):
        verb(S3Store(bucket))


def test_trouble_that_passes_is_not_even_noticed(scripted: Any, bucket: str) -> None:
    answers, asked = scripted
    answers[:] = [(503, "SlowDown"), (400, "RequestTimeout"), (200, "")]

    assert S3Store(bucket).read("k", fresh=True) == b""
    assert asked == ["GET "] * 3


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, "ExpiredToken", "sign in again"),
        (400, "IllegalLocationConstraintException", "set AWS_REGION to the region of the bucket"),
        (403, "RequestTimeTooSkewed", "set the clock of this machine"),
        (403, "SignatureDoesNotMatch", "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (501, "NotImplemented", "see what S3 says"),
    ],
)
def test_what_s3_refuses_is_no_absence_and_comes_with_the_next_step(
    scripted: Any, bucket: str, status: int, code: str, remedy: str
) -> None:
    scripted[0][:] = [(status, code)]
    for verb in ("create", "read", "names"):
        with pytest.raises(RegistryError, match=f"^{bucket}: .*{code}.*: {remedy}") as refusal:
            VERBS[verb](S3Store(bucket))
        assert not isinstance(refusal.value, StoreAway)


@every_verb
def test_a_bucket_that_does_not_exist_is_refused_with_the_next_step(bucket: str, verb: Any) -> None:
    missing = S3Store("s3://no-such-bucket/registry")
    remedy = "make the bucket, or correct its name"
    if verb is VERBS["modified"]:  # the answer to HEAD has no body that could say which of the two is missing
        remedy = "holds no a/b"

    with pytest.raises(RegistryError, match=f"^s3://no-such-bucket/registry.*{remedy}$") as refusal:
        verb(missing)

    assert not isinstance(refusal.value, StoreAway)


@pytest.fixture
def guarded(s3_server: str, bucket: str) -> Iterator[str]:
    """Let the server ask who is there, as AWS does; give a location in it."""

    def unasked(requests: str) -> None:
        headers = {"Content-Type": "text/plain"}
        asking = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", requests.encode(), headers)
        urllib.request.urlopen(asking).close()

    unasked("0")
    yield bucket
    unasked("inf")


@every_verb
def test_credentials_that_nobody_knows_are_refused_with_the_next_step(guarded: str, verb: Any) -> None:
    with pytest.raises(RegistryError, match=f"^{guarded}: .*: (correct AWS_ACCESS_KEY_ID|grant s3:)") as refusal:
        verb(S3Store(guarded))
    assert not isinstance(refusal.value, StoreAway)


@every_verb
def test_without_credentials_nothing_is_tried_and_the_message_says_what_to_set(
    bucket: str, verb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(
        RegistryError, match=f"^{bucket}: Unable to locate credentials: give AWS credentials"
    ) as refusal:
        verb(S3Store(bucket))
    assert not isinstance(refusal.value, StoreAway)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("AWS_PROFILE", "nobody", "The config profile .nobody. could not be found: give AWS credentials"),
        ("AWS_ENDPOINT_URL", "no url", "Invalid endpoint: no url: correct AWS_ENDPOINT_URL"),
    ],
)
def test_settings_that_mean_nothing_are_refused_when_the_store_is_opened(
    bucket: str, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(RegistryError, match=f"^{bucket}: {said}"):
        S3Store(bucket)


@every_verb
def test_a_store_that_is_down_is_away(bucket: str, verb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and never listens, so that nobody else can
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")

        with pytest.raises(StoreAway, match=f"^{bucket} cannot be reached: Could not connect to the endpoint"):
            verb(S3Store(bucket))


def test_a_name_that_does_not_resolve_is_away(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.invalid")
    with pytest.raises(StoreAway, match=f"^{bucket} cannot be reached"):
        S3Store(bucket).read("k")


def test_a_store_that_accepts_and_never_answers_is_away_after_the_time_for_it(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    monkeypatch.setattr(aws, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreAway, match=f"^{bucket} cannot be reached: Read timeout"):
            S3Store(bucket).read("k")


def test_the_region_is_what_any_of_awss_tools_would_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert aws.connect("s3://models").meta.region_name == "eu-west-3"

    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert aws.connect("s3://models").meta.region_name == "eu-central-1"
