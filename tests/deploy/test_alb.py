"""The role's two files for an application load balancer, against a simulated one; and what IAM has to allow for it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.cloud import REGION, client, credentials, simulated_aws
from tests.deploy.policies import policy, refused
from tests.deploy.running import ROOT, run, surroundings

PLAY = """\
- name: Go in one direction
  hosts: pegboard
  gather_facts: false
  vars: {_pegboard_serve_runs: true}
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
                   f"direction={direction}", environment=environment, expected=expected).stdout  # fmt: skip
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
pegboard_serve_balancer_timeout=20
""",
        encoding="utf-8",
    )


def test_a_host_is_taken_out_and_put_back(group: Group) -> None:
    first, second = group.hosts

    assert group.go("drain")[0] == 2
    assert group.states() == {second: "healthy"}
    assert group.mark.exists()
    assert group.go("drain")[0] == 0

    assert group.go("undrain")[0] == 2
    assert group.states() == {first: "healthy", second: "healthy"}
    assert not group.mark.exists()
    assert group.go("undrain")[0] == 0


def test_who_deploys_may_do_that(group: Group) -> None:
    log = group.work / "aws.log"
    before = len(log.read_text(encoding="utf-8").splitlines())
    group.go("drain")
    group.go("undrain")
    asked = log.read_text(encoding="utf-8").splitlines()[before:]

    assert {"elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"} <= set(asked)
    assert refused(policy("deploy"), asked) == set()
