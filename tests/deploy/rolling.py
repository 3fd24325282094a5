"""The plays on hosts that are this machine: what rolling does is real, what it rolls is not.

A host is a directory and a small server that answers as Pegboard's does, for the image that the host's container has;
the container is a file, see :mod:`tests.deploy.hosts.docker`. The engine's role and scheduled jobs are left out, since
both would change this machine. The chain's test tries all of it on real hosts.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.running import checked, copied, run, surroundings
from tests.deploy.services import answering

DOCKER = Path(__file__).parent / "hosts" / "docker.py"
MODULES = ("docker_container", "docker_container_info", "docker_host_info", "docker_image_info", "docker_image_pull",
           "docker_image_remove", "docker_login")  # fmt: skip
# The registry's command: every version is known, and its bundle's digest is its number, over and over. What it is told
# to write down goes into a file, unless `refuses` (a host's name) says no; it waits while there is `wait`. What
# `meddle` holds is done while it is asked.
COMMAND = """#!/bin/bash
cd {work}
case $2 in
    replay)
        [ ! -e meddle ] || . ./meddle
        number=${{@: -1}} number=${{number#*/}}
        digest=$(printf "$number%.0s" $(seq 64))
        echo '{{"version": "house/'$number'", "name": "house", "number": '$number', "digest": "'$digest'",' \\
            '"rows": [], "predictions": [], "relative_tolerance": 0}}' ;;
    record-deploy)
        while [ -e wait ]; do touch waits; sleep 0.1; done
        [[ " $* " != *" --host $(cat refuses 2>/dev/null) "* ]] || {{ echo "the store says no" >&2; exit 1; }}
        echo "$*" >>ledger ;;
esac
"""


def image(number: int, repository: str = "images/pegboard") -> str:
    """Name the image that holds version ``number``."""
    return f"{repository}@sha256:{str(number) * 64}"


@dataclass
class Host:
    """A machine: where its state lies, where it is asked, and with which versions it never is ready."""

    name: str
    state: Path
    address: str
    port: int
    sick: set[int] = field(default_factory=set)

    @property
    def container(self) -> Path:
        """What runs, if it is there."""
        return self.state / "container.json"

    @property
    def lock(self) -> Path:
        """Who rolls the host."""
        return self.state / "roll"

    def runs(self) -> int | None:
        """Return the version whose image runs."""
        if not self.container.exists():
            return None
        return int(json.loads(self.container.read_text())["image"].split(":")[1][0])

    def has_served(self, *numbers: int) -> None:
        """Let it have served these versions, of which the last one serves."""
        place = {"address": self.address, "port": self.port, "proxy": False, "user": "10001:10001", "memory": "1g",
                 "pids": 256, "tmp_size": "256m", "volumes": [], "env": {}}  # fmt: skip
        served = [
            {"version": f"house/{number}", "model": "house", "number": number, "digest": str(number) * 64,
             "image": image(number), "since": f"2026-01-0{number}T00:00:00+00:00", "reason": "before",
             "container": {"image": image(number), **place}}
            for number in numbers
        ]  # fmt: skip
        (self.state / "served.json").write_text(json.dumps(served))
        self.container.write_text(json.dumps({
            "image": image(numbers[-1]), "env": {}, "memory": "1g", "volumes": [],
            "published_ports": [f"{self.address}:{self.port}:5000"],
        }))  # fmt: skip

    def remembers(self, file: str = "served.json") -> list[int]:
        """Return the versions that a file of its memory names."""
        return [int(one["version"].split("/")[1]) for one in json.loads((self.state / file).read_text())]

    def answers(self, path: str) -> tuple[int, Any]:
        """Answer as the server in the container does."""
        number = self.runs()
        if number is None:
            return 503, {}
        well = number not in self.sick
        if path == "/model":
            return 200, {"name": "house", "version": number}
        told = {"status": "ready" if well else "loading", "model": "house", "version": number}
        return (200 if well else 503), {**told, "digest": str(number) * 64}


@dataclass
class Fleet:
    """Hosts, a registry's command, and the plays."""

    work: Path
    stack: ExitStack
    port: int
    hosts: dict[str, Host] = field(default_factory=dict)
    #: What lies over the inventory: variables of all hosts, and other machines.
    settings: dict[str, Any] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def host(self, name: str) -> Host:
        """Add a host; the last number of its address is its place in the row."""
        host = Host(name, self.work / name, f"127.0.0.{len(self.hosts) + 2}", self.port)
        host.state.mkdir()
        self.stack.enter_context(answering(host.answers, host.address, host.port))
        self.hosts[name] = host
        return host

    def say(self, name: str, text: str = "") -> Path:
        """Tell the registry's command something, see ``COMMAND``."""
        (self.work / name).write_text(text)
        return self.work / name

    def recorded(self) -> list[tuple[str, int, str]]:
        """Return what the ledger was told: host, version, and since when it serves."""
        told = (self.work / "ledger").read_text().splitlines() if (self.work / "ledger").exists() else []
        form = re.compile(r"models record-deploy house/(\d) .*--host (\S+) .*--since (\S+) ")
        return [(found[2], int(found[1]), found[3]) for line in told if (found := form.match(line))]

    def deploy(self, number: int, *more: str, expected: int = 0) -> str:
        """Deploy a version; return what the play said."""
        return self.play("deploy.yml", *named(number), *more, expected=expected)

    def play(self, playbook: str, *more: str, expected: int = 0) -> str:
        """Run a play, with further variables (``name=value``); return what it said."""
        done = run(*self._command(playbook, more), environment=self._environment(), expected=expected)
        return done.stdout + done.stderr

    def begin(self, playbook: str, *more: str) -> subprocess.Popen[str]:
        """Start a play, and return while it runs."""
        words = [str(word) for word in self._command(playbook, more)]
        return self.stack.enter_context(subprocess.Popen(
            words, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        ))  # fmt: skip

    def _command(self, playbook: str, more: Sequence[str]) -> list[str | Path]:
        return [self.work / "ansible" / "play.sh", playbook, *(word for one in more for word in ("-e", one))]

    def _environment(self) -> dict[str, str]:
        own = {host.name: {"pegboard_serve_address": host.address, "pegboard_serve_state": str(host.state),
                           "pegboard_serve_container": str(host.container), "pegboard_serve_lock": str(host.lock),
                           } for host in self.hosts.values()}  # fmt: skip
        settings = {"pegboard_serve_port": self.port, "pegboard_environment": "staging", "pegboard_serve_disk_mb": 1,
                    "pegboard_command": str(self.work / "pegboard"), "pegboard_serve_ready_retries": 2,
                    **self.settings}  # fmt: skip
        local = {"ansible_connection": "local", "ansible_become": False}
        listed = self.work / "inventory.json"
        listed.write_text(json.dumps({
            "all": {"vars": local}, "pegboard": {"hosts": own, "vars": settings}, "others": {"hosts": self.machines},
        }))  # fmt: skip
        return surroundings(
            ANSIBLE_INVENTORY=str(listed), ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=str(self.work / "collections"),
            ANSIBLE_PYTHON_INTERPRETER=sys.executable, ANSIBLE_PIPELINING="true",
        )  # fmt: skip


def named(number: int) -> tuple[str, str]:
    """Name a version and its image, as deploy.yml is told."""
    return f"pegboard_image={image(number)}", f"pegboard_version=house/{number}"


@contextmanager
def fleet(work: Path, port: int) -> Iterator[Fleet]:
    """Have the plays ready, and no hosts yet; all end with the block."""
    checked("ansible-playbook", "--version")
    copied(work, "ansible")
    for left_out in ("container_engine/tasks/main.yml", "pegboard_serve/tasks/jobs.yml"):
        (work / "ansible" / "roles" / left_out).write_text("[]\n")
    modules = work / "collections" / "ansible_collections" / "community" / "docker" / "plugins" / "modules"
    modules.mkdir(parents=True)
    for name in MODULES:
        (modules / f"{name}.py").symlink_to(DOCKER)
    command = work / "pegboard"
    command.write_text(COMMAND.format(work=work))
    command.chmod(0o755)
    with ExitStack() as stack:
        yield Fleet(work, stack, port)
