"""Files of a test's own, a bucket, and a web server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pd.DataFrame]:
    """Write ``content`` (if any) into a file of that name, and load it; the target is ``y`` unless it is given."""
    from pegboard_files.plugin import configure

    monkeypatch.chdir(tmp_path)

    def load(content: str | bytes | None = None, name: str = "t.csv", **options: Any) -> pd.DataFrame:
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        source = configure(**{"path": name, "target": "y", **options})
        assert source.load is not None
        return source.load()

    return load


@dataclass
class Web:
    """A web server of a few answers by their paths: status and body; what was asked for is kept."""

    url: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Authorization", "")))
            status, body = served.answers.get(self.path, (404, b"<html>nothing</html>"))
            self.send_response(status)
            # One that promises more than it sends is cut off on the way.
            self.send_header("Content-Length", str(len(body) + (status == 299)))
            self.end_headers()
            with suppress(ConnectionError):  # of a reader that has had enough
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield _announced(log, process)
        finally:
            process.terminate()


def _announced(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        if said := re.search(r"Running on (http://\S+)", log.read_text()):
            return said[1]
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    pytest.fail(f"the server did not start: {log.read_text()}")


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """Make a bucket and set AWS's settings; give its name and a client."""
    import boto3

    settings = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for setting, value in settings.items():
        monkeypatch.setenv(setting, value)
    for setting in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(setting, raising=False)
    name, client = f"test-{uuid.uuid4().hex}", boto3.client("s3")
    client.create_bucket(Bucket=name)
    return name, client
