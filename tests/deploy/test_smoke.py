"""`status.yml` with an expectation: it fails unless every host, and the balancer, answer with the expected version.

The play is the real one, and its hosts are this machine; what it asks are small servers that answer as Pegboard's does,
since what is tried here is what Pegboard never says by itself. The chain's test tries it on real hosts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.running import ROOT, checked, run, surroundings
from tests.deploy.services import Answers, answering, free_port


def serving(version: str, ready: int = 200) -> Answers:
    """Answer as a server of a version does."""
    name, number = version.split("/")

    def answer(path: str) -> tuple[int, Any]:
        if path == "/ready":
            body = {"status": "ready" if ready == 200 else "draining", "model": name, "version": int(number)}
            return ready, {**body, "digest": "0" * 64}
        return (200, {"name": name, "version": int(number)}) if path == "/model" else (404, {})

    return answer


@dataclass
class Machines:
    """Hosts, their memories, and the play."""

    work: Path
    stack: ExitStack

    def host(self, name: str, answers: Answers | None, drained: bool = False) -> None:
        """Let a host have served house/7, and answer so; ``None`` is a server that is down."""
        port = self.stack.enter_context(answering(answers)) if answers else free_port("127.0.0.1")
        state = self.work / name
        state.mkdir()
        place = {"address": "127.0.0.1", "port": port, "proxy": False, "env": {}}
        served = {"version": "house/7", "model": "house", "number": 7, "digest": "0" * 64, "image": "a@sha256:0",
                  "since": "2026-01-01T00:00:00Z", "container": place}  # fmt: skip
        (state / "served.json").write_text(json.dumps([served]), encoding="utf-8")
        if drained:
            (state / "drained").touch()

    def status(self, expected: int, **environment: str) -> str:
        """Run the play on the hosts that are there; return what it said."""
        checked("ansible-playbook", "--version")
        states = sorted(state for state in self.work.iterdir() if state.is_dir())
        hosts = {state.name: {"pegboard_serve_state": str(state)} for state in states}
        settings = {"ansible_connection": "local", "ansible_become": False, "pegboard_serve_public_delay": 1,
                    "pegboard_serve_public_retries": 3}  # fmt: skip
        listed = self.work / "hosts.yml"
        listed.write_text(json.dumps({"pegboard": {"hosts": hosts, "vars": settings}}), encoding="utf-8")
        surrounded = surroundings(**environment, ANSIBLE_INVENTORY=str(listed), ANSIBLE_NOCOLOR="1")
        done = run(ROOT / "ansible/play.sh", "status.yml", environment=surrounded, expected=expected)
        return done.stdout + done.stderr


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def test_what_is_expected_everywhere_is_a_success_and_the_balancer_may_need_a_moment(machines: Machines) -> None:
    for name in ("host-1", "host-2"):
        machines.host(name, serving("house/7"))
    asked: list[str] = []

    def late(path: str) -> tuple[int, Any]:
        asked.append(path)
        return serving("house/7")(path) if len(asked) == 3 else (503, {})

    front = machines.stack.enter_context(answering(late))
    said = machines.status(0, PEGBOARD_EXPECT="house/7", PEGBOARD_URL=f"http://127.0.0.1:{front}/")
    assert "host    state  version  digest" in said
    assert asked == ["/model"] * 3


def test_every_host_that_is_otherwise_is_named_after_the_table(machines: Machines) -> None:
    machines.host("good", serving("house/7"))
    machines.host("older", serving("house/6"))
    machines.host("other", serving("other/7"))
    machines.host("longer", serving("house/77"))
    machines.host("draining", serving("house/7", ready=503))
    machines.host("drained", serving("house/7"), drained=True)
    machines.host("down", None)
    machines.host("nonsense", lambda path: (200, [1]))

    said = machines.status(2, PEGBOARD_EXPECT="house/7", PEGBOARD_URL="http://127.0.0.1:9")
    table, _, verdict = said.partition("house/7 is expected of every host")
    assert re.search(r"host +state +version", table)
    named = dict(re.findall(r"^ +(\w+): (house.*|other.*|no version.*)$", verdict, re.MULTILINE))
    assert {host: what for host, what in named.items() if host != "nonsense"} == {
        "older": "house/6, ready", "other": "other/7, ready", "longer": "house/77, ready",
        "draining": "house/7, draining", "drained": "house/7, ready, drained", "down": "no version, down",
    }  # fmt: skip
    assert named["nonsense"].startswith("no version, unknown: ")
    assert "Ask through the balancer" not in said


def test_without_an_expectation_nothing_is_judged(machines: Machines) -> None:
    machines.host("host-1", serving("house/6"))
    machines.host("host-2", None)

    said = machines.status(0, PEGBOARD_VERSION="house/7", PEGBOARD_URL="http://127.0.0.1:9")
    assert "down" in said


@pytest.mark.parametrize(("answers", "told"), [
    (serving("house/6"), "names house/6"), (None, "does not say: "),
], ids=["older", "nobody"])  # fmt: skip
def test_a_balancer_that_answers_otherwise_is_a_failure(machines: Machines, answers: Answers | None, told: str) -> None:
    machines.host("host-1", serving("house/7"))
    port = machines.stack.enter_context(answering(answers)) if answers else free_port("127.0.0.1")

    said = machines.status(2, PEGBOARD_EXPECT="house/7", PEGBOARD_URL=f"http://127.0.0.1:{port}")
    assert f"Every host serves house/7, and http://127.0.0.1:{port} {told}" in said


@pytest.mark.parametrize(("environment", "told"), [
    ({"PEGBOARD_EXPECT": "house@production"}, "house@production is not a version by its number"),
    ({"PEGBOARD_EXPECT": "house/7", "PEGBOARD_URL": "file:///etc/hostname"}, "is not where clients ask"),
])  # fmt: skip
def test_what_cannot_be_expected_is_refused_before_a_host_is_asked(
    machines: Machines, environment: dict[str, str], told: str
) -> None:
    machines.host("host-1", None)

    said = machines.status(2, **environment)
    assert told in said
    assert "Reach the host" not in said
