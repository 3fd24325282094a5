"""The whole chain on one machine: images, a simulated AWS, two hosts, an image registry, a balancer, an operator."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.cloud import Cloud, cloud
from tests.deploy.images import DOCKER, ROW
from tests.deploy.load import Load
from tests.deploy.packets import Packets, counted
from tests.deploy.plays import Operator
from tests.deploy.running import PEGBOARD, run, surroundings
from tests.deploy.services import USER, Balancer, ImageRegistry, balancer, image_registry

STAND = Path(__file__).parent / "stand"
# What stands in aws's place: one session, as ssh asks for it, ends at the stand-in of that instance; nothing else is
# answered. What was asked is written down.
AWS = """#!{python}
import re, socket, sys, threading
asked = " ".join(sys.argv[1:])
open("{work}/asked", "a").write(asked + "\\n")
form = "ssm start-session --target (i-[0-9a-f]+) --document-name AWS-StartSSHSession --parameters portNumber=22"
found = re.fullmatch(form, asked)
if not found:
    sys.exit("not answered: " + asked)
line = socket.create_connection(({addresses}[found[1]], 22))

def answer():
    while data := line.recv(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

threading.Thread(target=answer, daemon=True).start()
while data := sys.stdin.buffer.read1(65536):
    line.sendall(data)
"""
GATEWAY = "172.30.78.1"


@dataclass
class Chain:
    """Everything that a phase of the test needs."""

    work: Path
    cloud: Cloud
    hosts: Mapping[str, str]
    images: ImageRegistry
    balancer: Balancer
    packets: Packets
    operator: Operator
    load: Load
    environment: Mapping[str, str]

    def serves(self) -> dict[str, str]:
        """Return the version that each host answers with when it is asked itself."""
        return {host: f"{said['model']}/{said['version']}" for host, said in self.ready().items()}

    def ready(self) -> dict[str, dict[str, Any]]:
        """Return what ``/ready`` says on each host, asked from inside it."""
        return {name: json.loads(self.inside(name, "curl", "-s", "127.0.0.1:5000/ready")) for name in self.hosts}

    def inside(self, host: str, *command: str) -> str:
        """Run a command on a host, as root, and return what it prints."""
        return run(DOCKER, "exec", stand_in(host), *command).stdout

    def container(self, host: str) -> dict[str, Any]:
        """Return how Docker describes the container that serves on a host."""
        return dict(json.loads(self.inside(host, "docker", "inspect", "pegboard"))[0])


def stand_in(host: str) -> str:
    """Return the container that stands in for a host: pegboard-staging-1 is pegboard-deploy-1."""
    return f"pegboard-deploy-{host.rsplit('-', 1)[1]}"


@contextmanager
def stand_ins(work: Path, count: int) -> Iterator[dict[str, str]]:
    """Boot hosts until the block ends; return their addresses by the names that Terraform gives the machines."""
    run(STAND / "hosts.sh", "up", work, str(count))
    try:
        rows = [line.split() for line in (work / "hosts.txt").read_text().splitlines()]
        yield {name.replace("host", "pegboard-staging"): address for name, address in rows}
    finally:
        run(STAND / "hosts.sh", "down", work, str(count), expected=None)


def ssh_config(work: Path, hosts: Mapping[str, str]) -> Path:
    """Write ssh's configuration: the hosts' keys are checked, and no other address is connected to at all."""
    written = work / "ssh_config"
    written.write_text(f"""\
Match !host {",".join(hosts.values())}
    ProxyCommand /bin/false
Host *
    IdentityFile {work}/key
    IdentitiesOnly yes
    UserKnownHostsFile {work}/known_hosts
    StrictHostKeyChecking yes
""")
    return written


def inventory(work: Path, hosts: Mapping[str, str], images: ImageRegistry, front: Balancer) -> Path:
    """Write what lies over hosts.cfg: the stand-ins' addresses, and what stands where AWS's services would."""
    written = work / "stand-ins.yml"
    written.write_text(json.dumps({"pegboard": {
        "hosts": {name: {"ansible_host": address} for name, address in hosts.items()},
        "vars": {
            "pegboard_balancer": "haproxy",
            "pegboard_serve_haproxy_socket": str(front.socket),
            "pegboard_registry_login": "password",
            "pegboard_registry_user": USER,
            "pegboard_registry_password": images.password,
            "container_engine_storage_driver": "overlay2",
            "container_engine_registry_cas": {images.address: str(images.authority)},
        },
    }}, indent=1))  # fmt: skip
    return written


def session_manager(chain: Chain) -> tuple[str, str]:
    """Make an ``aws`` that reaches the stand-ins by their instances' ids; return a PATH that has it, and a HOME.

    The hosts' keys are known by those ids afterwards, as known-hosts.sh writes them.
    """
    place = chain.work / "session-manager"
    place.mkdir()
    ids = dict(zip(chain.hosts, chain.cloud.outputs()["instance_ids"], strict=True))
    addresses = {ids[host]: address for host, address in chain.hosts.items()}
    aws = AWS.format(python=sys.executable, work=place, addresses=addresses)
    for name, text in (("aws", aws), ("session-manager-plugin", "#!/bin/false\n")):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    known = chain.work / "known_hosts"
    lines = [line.split(maxsplit=1) for line in known.read_text().splitlines()]
    by_id = {address: instance for instance, address in addresses.items()}
    known.write_text("".join(f"{address},{by_id[address]} {key}\n" for address, key in lines))
    home = place / "home"
    home.mkdir()
    return f"{place}:{chain.environment['PATH']}", str(home)


@contextmanager
def trusted(images: ImageRegistry) -> Iterator[None]:
    """Let this machine's engine trust the image registry until the block ends."""
    place = Path("/etc/docker/certs.d") / images.address
    place.mkdir(parents=True)
    shutil.copy2(images.authority, place / "ca.crt")
    try:
        yield
    finally:
        shutil.rmtree(place)


@contextmanager
def whole_chain(work: Path) -> Iterator[Chain]:
    """Set the chain up, from ``terraform apply`` to a balancer whose hosts are still empty, and take it down again."""
    with ExitStack() as stack:
        aws = stack.enter_context(cloud(work / "cloud"))
        hosts = stack.enter_context(stand_ins(work, 2))
        public_key = (work / "key.pub").read_text()
        aws.apply("staging.tfvars", hosts_cfg=str(work / "hosts.cfg"), ssh_public_key=public_key)
        packets = stack.enter_context(counted(aws.outputs()["addresses"], list(hosts.values())))
        images = stack.enter_context(image_registry(work / "images", GATEWAY))
        stack.enter_context(trusted(images))
        front = stack.enter_context(balancer(work / "balancer", hosts))
        registry = f"s3://{aws.outputs()['bucket']}/registry"
        environment = surroundings(
            **aws.credentials, PEGBOARD_REGISTRY=registry, PEGBOARD_CACHE=str(work / "cache"), DOCKER=DOCKER,
            DOCKER_CONFIG=str(work / "docker"), PEGBOARD=str(PEGBOARD),
        )  # fmt: skip
        run(DOCKER, "login", images.address, "--username", USER, "--password", images.password, environment=environment)
        listed = [work / "hosts.cfg", inventory(work, hosts, images, front)]
        operator = Operator(listed, ssh_config(work, hosts), environment)
        yield Chain(work, aws, hosts, images, front, packets, operator, Load(front.port, ROW), environment)
