"""A PostgreSQL server of the tests' own: on loopback, in a directory of its own, with a password that is awkward."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

PASSWORD = "p@ss/w:rd %41'\\?&#ü"
USER = "owner"


@dataclass(frozen=True)
class Server:
    """Where the server is."""

    port: int

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"


def programs() -> Path:
    """Return the directory of initdb and postgres: PG_BIN's, PATH's, or Debian's."""
    near = shutil.which("initdb")
    candidates = [Path(os.environ["PG_BIN"])] if "PG_BIN" in os.environ else []
    candidates += [Path(near).resolve().parent] if near else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for directory in candidates:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    pytest.fail("no PostgreSQL: apt-get install postgresql, or set PG_BIN to the directory of initdb and postgres")


def account() -> str | None:
    """Return whose the server is: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.fail("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a server, and stop it at the end."""
    home = Path(tempfile.mkdtemp(prefix="pegboard-postgresql-"))
    try:
        yield from _running(home, programs(), account())
    finally:
        shutil.rmtree(home)


def _running(home: Path, bin_: Path, user: str | None) -> Iterator[Server]:
    secret = home / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    if user is not None:
        for path in (home, secret):
            shutil.chown(path, user)
    data = home / "data"
    initdb = [bin_ / "initdb", "-D", data, "-U", USER, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8"]
    made = subprocess.run(
        [*initdb, "--locale=C", "-N"], user=user, cwd=home, capture_output=True, text=True, timeout=120, check=False
    )
    assert made.returncode == 0, made.stderr
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "fsync": "off"}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen([bin_ / "postgres", "-D", data, *arguments], user=user, cwd=home, stderr=log) as process,
    ):
        try:
            _wait(bin_ / "pg_isready", port, process, home / "log")
            yield Server(port)
        finally:
            process.send_signal(signal.SIGINT)  # ends what is connected still


def _wait(ready: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False, timeout=30).returncode == 0:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")


@pytest.fixture
def execute(server: Server):  # type: ignore[no-untyped-def]
    """Run statements on the server, as its owner, and commit them."""

    def run(*statements: str) -> list[tuple[object, ...]]:
        engine = create_engine(server.url().replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    return run
