"""The names under which an account of AWS is reached, on this machine and on the stand-ins, and who answers there.

ECR's registry is Debian's docker-registry, ECR's interface and the machines' metadata are the simulated AWS, and the
load balancer's name leads to haproxy. The doors are on the bridge's gateway, where hosts reach them; the names are
written into ``/etc/hosts``, and taken out again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.deploy.running import wait_for
from tests.deploy.services import ImageRegistry, certified, ended

MARK = "# a test of pegboard's deployment"
METADATA = 8254
NAMES = Path("/etc/hosts")


@dataclass(frozen=True)
class Doors:
    """What the names lead to: ``images`` is the registry under the name that it has at AWS."""

    gateway: str
    names: tuple[str, ...]
    images: ImageRegistry

    @property
    def lines(self) -> str:
        """What ``/etc/hosts`` has to say."""
        return "".join(f"{self.gateway} {name} {MARK}\n" for name in self.names)


@contextmanager
def doors(
    directory: Path, gateway: str, aws: str, images: tuple[str, ImageRegistry], balancer: tuple[str, int]
) -> Iterator[Doors]:
    """Open the doors on an address until the block ends.

    ``aws`` is the simulated AWS's address; ``images`` and ``balancer`` are names at AWS, and what is behind them: a
    registry with TLS of its own, a port on loopback.
    """
    directory.mkdir()
    registry, behind = images
    api = registry.split(".", 1)[1].replace("dkr.ecr", "api.ecr")
    key, certificate = certified(directory, f"DNS:{registry},DNS:{api}")
    (directory / "door.pem").write_text(certificate.read_text() + key.read_text())
    settings = directory / "haproxy.cfg"
    settings.write_text(f"""\
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend tls
    bind {gateway}:443 ssl crt {directory}/door.pem
    use_backend aws if {{ hdr(host) -i {api} }}
    default_backend images
frontend clients
    bind {gateway}:80
    default_backend balancer
# A machine asks for this at an address of its own.
frontend metadata
    bind {gateway}:{METADATA}
    default_backend aws
backend aws
    server aws {aws.removeprefix("http://")}
backend images
    server images {behind.address} ssl verify required ca-file {behind.authority}
backend balancer
    server balancer 127.0.0.1:{balancer[1]}
""")
    opened = Doors(gateway, (registry, api, balancer[0]), replace(behind, address=registry, authority=certificate))
    with _named(opened), ended(directory / "log", "haproxy", "-db", "-f", settings):
        wait_for("the doors are open", opened.images.answers)
        yield opened


@contextmanager
def _named(opened: Doors) -> Iterator[None]:
    """Let this machine find the doors by their names until the block ends."""
    _unname()  # what a run that was killed has left
    with NAMES.open("a") as file:
        file.write(opened.lines)
    try:
        yield
    finally:
        _unname()


def _unname() -> None:
    # In place: where this file is mounted, another cannot take its place.
    NAMES.write_text("".join(line for line in NAMES.read_text().splitlines(True) if MARK not in line))
