"""A GitHub that holds one repository, for ``gh``: its REST interface over TLS, as far as the scripts here use it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "not-a-real-token"
REPOSITORY = "owner/pegboard"
#: The commit that main points at.
HEAD = "1" * 40


@dataclass
class Held:
    """What the repository holds, and what it was asked."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=lambda: {"main": HEAD})
    #: The text of each file, by branch and path.
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    #: Settings, Actions, General: whether workflows may open pull requests.
    may_pull: bool = True
    releases: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class Refused(Exception):
    """What GitHub would answer with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _answer(  # noqa: C901 (a table of what GitHub answers)
    held: Held, url: str, method: str, path: str, query: dict[str, str], body: Any
) -> tuple[int, Any]:
    """Return the status and the answer to a request; ``path`` begins after the repository."""
    match method, path.strip("/").split("/"):
        case "GET", [""]:
            return 200, {"default_branch": "main", "full_name": REPOSITORY}
        case "GET", ["issues", _, "comments"]:
            return 200, held.comments
        case "POST", ["issues", _, "comments"]:
            made = {
                "id": len(held.comments) + 1,
                "user": {"type": "Bot"},
                "html_url": f"{url}#{len(held.comments) + 1}",
            }
            held.comments.append({**made, "body": body["body"]})
            return 201, held.comments[-1]
        case "PATCH", ["issues", "comments", number]:
            found = next(comment for comment in held.comments if comment["id"] == int(number))
            found["body"] = body["body"]
            return 200, found
        case "GET", ["git", "ref", "heads", *branch]:
            if (name := "/".join(branch)) not in held.branches:
                raise Refused(404, "Not Found")
            return 200, {"object": {"sha": held.branches[name]}}
        case "POST", ["git", "refs"]:
            name = body["ref"].removeprefix("refs/heads/")
            if name in held.branches:
                raise Refused(422, "Reference already exists")
            held.branches[name] = body["sha"]
            held.files |= {(name, path): text for (branch, path), text in held.files.items() if branch == "main"}
            return 201, {}
        case "GET", ["contents", directory]:
            files = [path for branch, path in held.files if branch == query["ref"] and path.startswith(f"{directory}/")]
            if not files:
                raise Refused(404, "Not Found")
            return 200, [
                {"name": path.rpartition("/")[2], "sha": _sha(held.files[query["ref"], path])} for path in files
            ]
        case "PUT", ["contents", *file]:
            place = "/".join(file)
            before = held.files.get((body["branch"], place))
            if before is not None and body.get("sha") != _sha(before):
                raise Refused(409, f"{place} does not match {body.get('sha')}")
            held.files[body["branch"], place] = base64.b64decode(body["content"]).decode()
            return 201, {}
        case "GET", ["pulls"]:
            return 200, [pull for pull in held.pulls if query["head"] == f"owner:{pull['head']}"]
        case "POST", ["pulls"]:
            if not held.may_pull:
                raise Refused(403, "GitHub Actions is not permitted to create or approve pull requests.")
            held.pulls.append({**body, "html_url": f"{url}/pull/{len(held.pulls) + 1}"})
            return 201, held.pulls[-1]
        case "HEAD", ["releases", "tags", tag]:
            return (200 if any(release["tag_name"] == tag for release in held.releases) else 404), {}
        case "POST", ["releases"]:
            held.releases.append({**body, "assets": {}})
            upload = f"{url}/repos/{REPOSITORY}/releases/{len(held.releases)}/assets{{?name,label}}"
            return 201, {
                "upload_url": upload,
                "url": f"{url}/repos/{REPOSITORY}/releases/1",
                "html_url": f"{url}/release",
            }
        case "POST", ["releases", number, "assets"]:
            held.releases[int(number) - 1]["assets"][query["name"]] = body
            return 201, {}
        case "PATCH", ["releases", number]:
            held.releases[int(number) - 1].update(body)
            return 200, {"html_url": f"{url}/release"}
        case _:
            raise Refused(404, f"nothing here knows {method} {path}")


def _sha(text: str) -> str:
    return format(abs(hash(text)), "040x")[:40]


@contextmanager
def github(directory: Path) -> Iterator[tuple[Held, dict[str, str]]]:
    """Run it until the block ends; yield what it holds, and the variables that lead ``gh`` to it."""
    held = Held()
    certificate, key = _certificate(directory)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host = f"https://{self.headers['Host']}"
            split = urlsplit(self.path)
            path = re.sub(rf"^(/api/v3)?/repos/{REPOSITORY}", "", split.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            held.asked.append(f"{self.command} {path}")
            try:
                if self.headers.get("Authorization") != f"token {TOKEN}":
                    raise Refused(401, "Bad credentials")
                sent = json.loads(raw) if "json" in self.headers.get("Content-Type", "") and raw else raw
                query = {name: values[0] for name, values in parse_qs(split.query).items()}
                status, answer = _answer(held, host, self.command, path, query, sent)
            except Refused as error:
                status, answer = error.status, {"message": str(error)}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PATCH = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"localhost:{server.server_port}"
    try:
        yield held, {
            "GH_HOST": host, "GH_ENTERPRISE_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY,
            "SSL_CERT_FILE": str(certificate), "GH_CONFIG_DIR": str(directory), "GH_PROMPT_DISABLED": "1",
        }  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()


def _certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
