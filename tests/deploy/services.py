"""What stands beside the hosts: an image registry with TLS and a password in ECR's place, haproxy in the balancer's."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.deploy.running import run, wait_for

USER = "pegboard"
#: What is answered to a path: a status, and what becomes JSON.
Answers = Callable[[str], tuple[int, Any]]


@dataclass(frozen=True)
class ImageRegistry:
    """A running image registry: ``address`` is what image names begin with."""

    address: str
    authority: Path
    user: str
    password: str

    def answers(self) -> bool:
        """Whether it lets its user in."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(f"https://{self.address}/v2/", headers={"Authorization": f"Basic {token}"})
        with suppress(OSError):
            return bool(urllib.request.urlopen(request, timeout=2, context=_trusting(self.authority)).status == 200)
        return False


def _trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def certified(directory: Path, names: str) -> tuple[Path, Path]:
    """Make a key and a certificate that is its own authority, for names as OpenSSL writes them (``DNS:…,IP:…``)."""
    key, certificate = directory / "key.pem", directory / "ca.crt"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pegboard-deploy",
        "-addext", f"subjectAltName={names}", "-keyout", key, "-out", certificate)  # fmt: skip
    return key, certificate


@contextmanager
def image_registry(
    directory: Path, address: str, user: str = USER, password: str | None = None
) -> Iterator[ImageRegistry]:
    """Run Debian's docker-registry at an address of this machine until the block ends, for one user."""
    directory.mkdir()
    port, password = free_port(address), password or secrets.token_urlsafe(16)
    key, certificate = certified(directory, f"IP:{address}")
    (directory / "users").write_text(run("htpasswd", "-nbB", user, password).stdout.strip() + "\n")
    settings = directory / "config.yml"
    settings.write_text(f"""\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {directory}/images}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "{address}:{port}", tls: {{certificate: {certificate}, key: {key}}}}}
auth: {{htpasswd: {{realm: pegboard-deploy, path: {directory}/users}}}}
""")
    with ended(directory / "log", "docker-registry", "serve", settings):
        registry = ImageRegistry(f"{address}:{port}", certificate, user, password)
        wait_for("the image registry answers", registry.answers)
        yield registry


@dataclass(frozen=True)
class Balancer:
    """A running haproxy: clients ask 127.0.0.1:``port``, operators its ``socket``."""

    port: int
    socket: Path

    def servers(self) -> dict[str, str]:
        """Return what it thinks of each host: UP, DOWN, MAINT, DRAIN."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(b"show stat\n")
            rows = [row.split(",") for row in line.makefile().read().splitlines() if row.startswith("pegboard,")]
        return {row[1]: row[17] for row in rows if row[1] != "BACKEND"}


@contextmanager
def balancer(directory: Path, hosts: Mapping[str, str], port: int = 5000) -> Iterator[Balancer]:
    """Run haproxy before these hosts (address by name) until the block ends. It does not retry: clients see it all."""
    directory.mkdir()
    short = tempfile.TemporaryDirectory(prefix="haproxy-")  # a socket's path has 97 characters at most
    front = Balancer(free_port("127.0.0.1"), Path(short.name) / "admin.sock")
    servers = "\n".join(f"    server {name} {address}:{port}" for name, address in hosts.items())
    settings = directory / "haproxy.cfg"
    settings.write_text(f"""\
global
    stats socket {front.socket} mode 600 level admin
defaults
    mode http
    retries 0
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 10s
frontend clients
    bind 127.0.0.1:{front.port}
    default_backend pegboard
backend pegboard
    option httpchk GET /ready
    default-server check inter 500ms fall 2 rise 1
{servers}
""")
    with short, ended(directory / "log", "haproxy", "-db", "-f", settings):
        wait_for("haproxy answers", front.socket.exists)
        yield front


@contextmanager
def answering(answers: Answers, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Answer what is asked with GET, by its path, in JSON, until the block ends; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers(self.path)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer((address, port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def ended(log: Path, *command: str | Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, and then end it, and no other."""
    words = [str(word) for word in command]
    with log.open("wb") as said, subprocess.Popen(words, cwd=cwd, stdout=said, stderr=said) as server:
        try:
            yield server
        finally:
            server.terminate()


def free_port(address: str) -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((address, 0)) as listener:
        return int(listener.getsockname()[1])
