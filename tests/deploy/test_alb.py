"""The role's two files for an application load balancer, against a simulated one; and what IAM has to allow for it."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.deploy.cloud import REGION, client, credentials, simulated_aws
from tests.deploy.policies import policy, refused
from tests.deploy.running import ROOT, run, surroundings

PLAY = """\
- name: Go in one direction
  hosts: pegboard
  gather_facts: false
  tasks:
    - name: Include the role's part
      ansible.builtin.include_role: {name: pegboard_serve, tasks_from: "{{ direction }}"}
"""


@dataclass
class Group:
    """A target group with two hosts in it, and an inventory with the first of them."""

    work: Path
    arn: str
    hosts: list[str]
    client: Any
    url: str
    #: How long the play waits for a state, in seconds.
    patience: int = 20

    @property
    def mark(self) -> Path:
        """What the role leaves on a host that is out."""
        return self.work / "drained"

    def states(self) -> dict[str, str]:
        """Return the state of every host that is in."""
        health = self.client.describe_target_health(TargetGroupArn=self.arn)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in health}

    def go(self, direction: str, expected: int = 0) -> tuple[int, str]:
        """Drain the host or put it back; return how much was changed, and what Ansible said."""
        environment = surroundings(**credentials(self.url), ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg"),
                                   ANSIBLE_NOCOLOR="1")  # fmt: skip
        said = run("ansible-playbook", "-i", self.work / "hosts.cfg", self.work / "play.yml", "-e",
                   f"direction={direction} pegboard_serve_balancer_timeout={self.patience}",
                   environment=environment, expected=expected).stdout  # fmt: skip
        return int(re.search(r"changed=(\d+)", said)[1]), said  # type: ignore[index]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    if not shutil.which("ansible-playbook"):
        why = "ansible-playbook is not on PATH: pip install -r ansible/requirements.txt, and put that on PATH"
        pytest.fail(why) if "CI" in os.environ else pytest.skip(why)
    with simulated_aws(tmp_path / "aws.log") as url:
        arn, hosts = _two_hosts(url)
        (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
        group = Group(tmp_path, arn, hosts, client("elbv2", url), url)
        _inventory(group)
        yield group


def _two_hosts(url: str) -> tuple[str, list[str]]:
    ec2, balancers = client("ec2", url), client("elbv2", url)
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2, InstanceType="t3.small")["Instances"]
    group = balancers.create_target_group(Name="pegboard-staging", Protocol="HTTP", Port=5000, VpcId=network)
    arn, hosts = group["TargetGroups"][0]["TargetGroupArn"], [one["InstanceId"] for one in made]
    balancers.register_targets(TargetGroupArn=arn, Targets=[{"Id": host} for host in hosts])
    return str(arn), hosts


def _inventory(group: Group) -> None:
    """Write an inventory whose host is this machine: the calls go out from here in any case."""
    (group.work / "hosts.cfg").write_text(
        f"""\
[pegboard]
pegboard-staging-1 ansible_connection=local instance_id={group.hosts[0]}

[pegboard:vars]
pegboard_balancer=alb
pegboard_target_group_arn={group.arn}
pegboard_aws_region={REGION}
pegboard_serve_state={group.work}
""",
        encoding="utf-8",
    )


def test_a_host_is_taken_out_and_put_back(group: Group) -> None:
    first, second = group.hosts

    assert group.go("drain")[0] == 2
    assert group.states() == {second: "healthy"}
    assert group.mark.exists()
    assert group.go("drain")[0] == 0

    assert group.go("undrain")[0] == 1
    assert group.states() == {first: "healthy", second: "healthy"}
    assert group.mark.exists()
    assert group.go("undrain")[0] == 0
    group.go("unmark")
    assert not group.mark.exists()


@contextmanager
def draining(url: str, seconds: float) -> Iterator[str]:
    """Stand before a simulated AWS, and let a deregistered target drain for a while, as AWS does and moto does not.

    Whether anything runs on it makes no difference there: the state is shown until the delay has passed.
    """
    left: dict[str, float] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            target = asked.get("Targets.member.1.Id", "")
            if asked["Action"] == "DeregisterTargets":
                left[target] = time.monotonic()
            forwarded = urllib.request.Request(url, body, dict(self.headers.items()))
            with urllib.request.urlopen(forwarded) as answer:
                text, kind = answer.read().decode(), answer.headers["Content-Type"]
            if asked["Action"] == "DescribeTargetHealth":
                text = _still_draining(text, [one for one, when in left.items() if time.monotonic() < when + seconds])
            told = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _still_draining(text: str, targets: list[str]) -> str:
    """Let an answer show these targets as draining, also where all targets of a group were asked for."""
    for target in targets:
        shown = (f"<member><HealthCheckPort>5000</HealthCheckPort><Target><Id>{target}</Id><Port>5000</Port></Target>"
                 "<TargetHealth><State>draining</State><Reason>Target.DeregistrationInProgress</Reason></TargetHealth>"
                 "</member>")  # fmt: skip
        text = re.sub(rf"<member>(?:(?!</member>).)*<Id>{target}</Id>.*?</member>", "", text, flags=re.DOTALL)
        text = text.replace("<TargetHealthDescriptions/>", "<TargetHealthDescriptions></TargetHealthDescriptions>")
        text = text.replace("</TargetHealthDescriptions>", f"{shown}</TargetHealthDescriptions>")
    return text


def test_a_host_is_out_only_when_it_has_drained_and_is_then_put_back(group: Group) -> None:
    first, second = group.hosts
    with draining(group.url, 8) as group.url:
        group.go("drain")
        shown = client("elbv2", group.url).describe_target_health(TargetGroupArn=group.arn)
        assert [one["Target"]["Id"] for one in shown["TargetHealthDescriptions"]] == [second]

        group.go("undrain")
    assert group.states() == {first: "healthy", second: "healthy"}


def test_a_host_that_still_drains_is_waited_for(group: Group) -> None:
    """Somebody else, or a run that was broken off, has taken it out a moment ago."""
    with draining(group.url, 4) as group.url:
        client("elbv2", group.url).deregister_targets(TargetGroupArn=group.arn, Targets=[{"Id": group.hosts[0]}])
        group.go("undrain")
    assert group.states()[group.hosts[0]] == "healthy"


def test_a_host_that_does_not_become_healthy_fails_and_stays_marked(group: Group) -> None:
    group.mark.touch()
    group.patience = 4
    client("ec2", group.url).stop_instances(InstanceIds=[group.hosts[0]])

    said = re.sub(r"\s+", " ", group.go("undrain", expected=2)[1])

    assert "after 4 s the target group still finds the host unused: Target.InvalidState, Target is in the st" in said
    assert group.mark.exists()


def test_who_deploys_may_do_that(group: Group) -> None:
    log = group.work / "aws.log"
    before = len(log.read_text(encoding="utf-8").splitlines())
    group.go("drain")
    group.go("undrain")
    asked = log.read_text(encoding="utf-8").splitlines()[before:]

    assert {"elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"} <= set(asked)
    assert refused(policy("deploy"), asked) == set()
