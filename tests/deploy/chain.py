"""The whole chain on one machine: images, a simulated AWS, two hosts, an image registry, a balancer, an operator."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.cloud import REGION, Cloud, credentials, needed, simulated_aws, uninitialised
from tests.deploy.doors import METADATA, Doors, doors
from tests.deploy.images import DOCKER, ROW, source_of
from tests.deploy.load import Load
from tests.deploy.packets import Packets, counted
from tests.deploy.page import Reader
from tests.deploy.plays import Operator
from tests.deploy.running import PEGBOARD, ROOT, apart, run, surroundings
from tests.deploy.services import Balancer, ImageRegistry, balancer, image_registry

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
# By whom and by what ECR lets itself be asked; the password is what the simulated one hands out.
ECR, USER, PASSWORD = f"123456789012.dkr.ecr.{REGION}.amazonaws.com", "AWS", "123456789012-auth-token"
# What cloud-init prints when a machine is first started.
CONSOLE = "-----BEGIN SSH HOST KEY KEYS-----\r\n{key} root@ip\r\n-----END SSH HOST KEY KEYS-----\r\n"


@dataclass
class Chain:
    """Everything that a phase of the test needs."""

    work: Path
    cloud: Cloud
    hosts: Mapping[str, str]
    images: ImageRegistry
    balancer: Balancer
    packets: Packets
    reader: Reader
    operator: Operator
    load: Load
    environment: Mapping[str, str]

    @property
    def hosts_cfg(self) -> Path:
        """The inventory that Terraform has written."""
        return self.cloud.directory.parent / "ansible" / "hosts.cfg"

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


def ssh_config(written: Path, home: Path, hosts: Mapping[str, str]) -> None:
    """Write ssh's configuration: the simulated cloud's addresses lead to the stand-ins, all others nowhere.

    The hosts' keys are checked, by the addresses that they are known by.
    """
    leads = (f"Host {cloud}\n    HostName {own}\n    HostKeyAlias {cloud}\n" for cloud, own in hosts.items())
    written.write_text(f"""\
{"".join(leads)}Match !host {",".join(hosts.values())}
    ProxyCommand /bin/false
Host *
    IdentityFile {home}/.ssh/id_ed25519
    IdentitiesOnly yes
    StrictHostKeyChecking yes
""")


def haproxy_instead(written: Path, front: Balancer) -> Path:
    """Write what lies over hosts.cfg where there is load: the clients' balancer, and a password for the images."""
    written.write_text(json.dumps({"pegboard": {"vars": {
        "pegboard_balancer": "haproxy",
        "pegboard_serve_haproxy_socket": str(front.socket),
        "pegboard_registry_login": "password",
        "pegboard_registry_user": USER,
        "pegboard_registry_password": PASSWORD,
    }}}, indent=1))  # fmt: skip
    return written


def session_manager(chain: Chain) -> tuple[str, str]:
    """Make an ``aws`` that reaches the stand-ins by their instances' ids; return a PATH that has it, and a HOME."""
    place = chain.work / "session-manager"
    place.mkdir()
    ids = chain.cloud.outputs()["instance_ids"]
    aws = AWS.format(python=sys.executable, work=place, addresses=dict(zip(ids, chain.hosts.values(), strict=True)))
    for name, text in (("aws", aws), ("session-manager-plugin", "#!/bin/false\n")):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    home = place / "home"
    home.mkdir()
    return f"{place}:{chain.environment['PATH']}", str(home)


@contextmanager
def trusted(images: ImageRegistry) -> Iterator[None]:
    """Let this machine's engine trust the image registry until the block ends."""
    place = Path("/etc/docker/certs.d") / images.address
    place.mkdir(parents=True, exist_ok=True)  # a run that was killed has left it
    shutil.copy2(images.authority, place / "ca.crt")
    try:
        yield
    finally:
        shutil.rmtree(place)


@contextmanager
def swept(repository: str) -> Iterator[None]:
    """Leave no image of a repository behind on this machine: its name is that of somebody's account."""
    try:
        yield
    finally:
        if left := run(DOCKER, "images", "--quiet", "--no-trunc", repository).stdout.split():
            run(DOCKER, "rmi", "--force", *dict.fromkeys(left))


def checkout(work: Path, url: str) -> tuple[Path, dict[str, str]]:
    """Make what the page begins with: the project after ``make run``, and an account of AWS, which is at ``url``.

    Return the checkout, and what the reader's environment must say.
    """
    made = source_of(work / "checkout", {})
    for name in (".venv", ".venv-deploy"):
        (made / name).symlink_to(ROOT / name)
    variables = {"container_engine_storage_driver": "overlay2",
                 "container_engine_registry_cas": {ECR: str(work / "doors" / "ca.crt")}}  # fmt: skip
    (made / "ansible" / "group_vars").mkdir()
    (made / "ansible" / "group_vars" / "pegboard.yml").write_text(json.dumps(variables))
    (made / ".git" / "info" / "exclude").write_text(".venv\n.venv-deploy\nansible/group_vars\n")
    settings = uninitialised(made / "terraform" / "state", url) | uninitialised(made / "terraform", url)
    # Otherwise make would install here what is the checkout's, there where the tests run.
    run("make", "--question", ".venv/.ready-to-deliver", ".venv-deploy/.ready", cwd=made)
    return made, settings


def like_ec2(host: str, opened: Doors) -> None:
    """Let a stand-in find AWS as a machine there does: by its names, trusted, and its metadata at their own address."""
    inside = (DOCKER, "exec", stand_in(host))
    run(*inside, "sh", "-c", 'printf %s "$1" >>/etc/hosts', "sh", opened.lines)
    run(DOCKER, "cp", opened.images.authority, f"{stand_in(host)}:/usr/local/share/ca-certificates/aws.crt")
    run(*inside, "update-ca-certificates")
    run(*inside, "iptables", "-t", "nat", "-A", "OUTPUT", "-d", "169.254.169.254", "-p", "tcp", "--dport", "80",
        "-j", "DNAT", "--to-destination", f"{opened.gateway}:{METADATA}")  # fmt: skip


def at_home(work: Path, aws: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give somebody a home with a key in it; return their environment, ``aws`` in it, and their options of ssh."""
    home = work / "home"
    (home / ".ssh").mkdir(parents=True)
    for mine, theirs in (("key", "id_ed25519"), ("key.pub", "id_ed25519.pub")):
        shutil.copy2(work / mine, home / ".ssh" / theirs)
    # The hosts' keys also where another configuration takes this one's place: over Session Manager.
    ssh = ("-F", f"{work}/ssh_config", "-o", f"UserKnownHostsFile={home}/.ssh/known_hosts",
           "-o", f"ControlPath={work}/ssh-%C")  # fmt: skip
    environment = surroundings(
        **aws, PATH=f"{apart('aws')}:{os.environ['PATH']}", HOME=str(home), PEGBOARD_CACHE=str(work / "cache"),
        DOCKER=DOCKER, DOCKER_CONFIG=str(work / "docker"), ANSIBLE_NOCOLOR="1",
        ANSIBLE_SSH_ARGS=shlex.join([*ssh, "-o", "ControlMaster=auto", "-o", "ControlPersist=60s"]),
    )  # fmt: skip
    return environment, ssh


@contextmanager
def in_place(
    work: Path, url: str, applied: Mapping[str, Any], hosts: Mapping[str, str]
) -> Iterator[tuple[ImageRegistry, Balancer, Packets]]:
    """Put the stand-ins where Terraform has made machines, a repository and a balancer, until the block ends."""
    machines = dict(zip(applied["addresses"], hosts.values(), strict=True))
    ssh_config(work / "ssh_config", work / "home", machines)
    keys = dict(line.split(" ", 1) for line in (work / "known_hosts").read_text().splitlines())
    (work / "consoles").mkdir()
    for instance, address in zip(applied["instance_ids"], hosts.values(), strict=True):
        (work / "consoles" / instance).write_text(CONSOLE.format(key=keys[address]), newline="")
    with (
        counted(list(machines), list(hosts.values())) as packets,
        image_registry(work / "images", "127.0.0.1", USER, PASSWORD) as behind,
        balancer(work / "balancer", hosts) as front,
        doors(work / "doors", GATEWAY, url, (ECR, behind), (applied["balancer"], front.port)) as opened,
        trusted(opened.images),
        swept(applied["repository"]),
    ):
        for host in hosts:
            like_ec2(host, opened)
        yield opened.images, front, packets


@contextmanager
def whole_chain(work: Path) -> Iterator[Chain]:
    """Follow docs/deploy.md to where an image is in its registry and hosts are empty, and take all down in the end."""
    needed()
    with ExitStack() as stack:
        url = stack.enter_context(simulated_aws(work / "aws.log"))
        hosts = stack.enter_context(stand_ins(work, 2))
        made, settings = checkout(work, url)
        environment, ssh = at_home(work, credentials(url) | settings)
        reader = stack.enter_context(closing(Reader(made, environment, work)))
        for step in ("1", "2", "3"):
            reader.follow(step)
        cloud = Cloud(made / "terraform", url, work / "aws.log")
        cloud.settings = ["-var-file=staging.tfvars", f"-var=ssh_public_key={(work / 'key.pub').read_text()}"]
        applied = cloud.outputs()
        images, front, packets = stack.enter_context(in_place(work, url, applied, hosts))
        for step in ("4", "5"):
            reader.follow(step)
        registry = f"s3://{applied['bucket']}/registry"
        environment = environment | {"PEGBOARD_REGISTRY": registry, "PEGBOARD": str(PEGBOARD)}
        listed = [made / "ansible" / "hosts.cfg", haproxy_instead(work / "haproxy.yml", front)]
        operator, load = Operator(listed, ssh, environment), Load(front.port, ROW)
        yield Chain(work, cloud, hosts, images, front, packets, reader, operator, load, environment)
