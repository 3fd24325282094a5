"""Terraform's configuration: its own tests bite, checkov's do, and a simulated AWS becomes what it says.

The tests against the simulated AWS are one story, from the first apply to the last destroy, and run in this order.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.cloud import Cloud, Terraform, cloud, copy, lacking, needed, simulated_aws
from tests.deploy.policies import policy, refused
from tests.deploy.running import ROOT, run, surroundings

MODULES = ("balancer", "bucket", "hosts", "images", "network")
STATES = "our-states"


@dataclass(frozen=True)
class Bad:
    """One thing that must not get through: an edit of one file, and what finds it."""

    file: str
    good: str
    bad: str
    run: str
    checkov: str | None = None

    @property
    def test(self) -> str:
        """The file of tests that holds the run."""
        return f"tests/{'variables' if self.file == 'variables.tf' else self.file.split('/')[1]}.tftest.hcl"


BAD = {
    "SSH is open to the world": Bad(
        "modules/network/groups.tf", 'description       = "SSH from ${each.value}"\n  cidr_ipv4         = each.value',
        'description       = "SSH from ${each.value}"\n  cidr_ipv4         = "0.0.0.0/0"', "ssh_is_never_open",
        "CKV_AWS_24",
    ),
    "the world may be named for SSH": Bad(
        "variables.tf", '[1]) >= 8, true)]', '[1]) >= 0, true)]', "ssh_from_the_world_is_refused",
    ),
    "the module lets the world be named for SSH": Bad(
        "modules/network/variables.tf", '[1]) >= 8]', '[1]) >= 0]', "the_world_is_no_network_for_ssh",
    ),
    "the app's port is open beside the balancer": Bad(
        "modules/network/groups.tf",
        'description                  = "The app from the balancer"\n'
        "  referenced_security_group_id = aws_security_group.balancer.id",
        'description                  = "The app from the balancer"\n  cidr_ipv4 = "10.0.0.0/8"',
        "the_app_is_reached_from_the_balancer_alone",
    ),
    "IMDSv1 answers": Bad(
        "modules/hosts/main.tf", 'http_tokens   = "required"', 'http_tokens   = "optional"', "imdsv2_is_required",
        "CKV_AWS_79",
    ),
    "a volume is not encrypted": Bad(
        "modules/hosts/main.tf", "encrypted   = true", "encrypted   = false", "volumes_are_encrypted", "CKV_AWS_8",
    ),
    "a host may write models": Bad(
        "modules/hosts/role.tf", '"s3:GetObject"', '["s3:GetObject", "s3:PutObject"]',
        "a_host_may_pull_read_and_nothing_more",
    ),
    "a host may read every bucket": Bad(
        "modules/hosts/role.tf", 'Resource = "${var.bucket_arn}/*"', 'Resource = "*"',
        "a_host_may_pull_read_and_nothing_more", "CKV_AWS_288",
    ),
    "tags can be moved": Bad(
        "modules/images/main.tf", '"IMMUTABLE"', '"MUTABLE"', "tags_are_immutable", "CKV_AWS_51",
    ),
    "the bucket can be public": Bad(
        "modules/bucket/main.tf", "block_public_policy     = true", "block_public_policy     = false",
        "the_bucket_is_private", "CKV_AWS_54",
    ),
    "production speaks HTTP": Bad(
        "variables.tf", '|| var.environment != "production"', '|| var.environment != "elsewhere"',
        "production_without_tls_is_refused",
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """A copy of the configuration that nothing is applied from."""
    needed()
    directory = copy(tmp_path_factory.mktemp("alone") / "terraform")
    terraform = Terraform(directory, surroundings())
    terraform.init("-backend=false")
    return terraform


@pytest.fixture(scope="session")
def checkov() -> Path:
    """The command, from an environment of its own that is made on first use."""
    wanted = ROOT / "tests" / "deploy" / "requirements" / "checkov.txt"
    home = ROOT / "build" / "deploy" / "checkov"
    mark = home / "installed"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted.read_text(encoding="utf-8"):
        shutil.rmtree(home, ignore_errors=True)
        run(sys.executable, "-m", "venv", home)
        run(home / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", wanted)
        shutil.copyfile(wanted, mark)
    return home / "bin" / "checkov"


def edited(bad: Bad, directory: Path) -> str:
    """Make an edit in a copy, and return what the file was before."""
    text = (directory / bad.file).read_text(encoding="utf-8")
    assert text.count(bad.good) == 1, f"{bad.good!r} is not once in {bad.file}"
    (directory / bad.file).write_text(text.replace(bad.good, bad.bad), encoding="utf-8")
    return text


def found(checkov: Path, directory: Path) -> dict[str, list[str]]:
    """Return what checkov says of a directory: failed and skipped checks by their names, and which it has passed."""
    said = run(checkov, "--directory", directory, "--framework", "terraform", "--output", "json", "--skip-download",
               expected=None).stdout  # fmt: skip
    results = json.loads(said)["results"]
    return {
        kind: [check["check_id"] for check in results[f"{kind}_checks"]] for kind in ("passed", "failed", "skipped")
    }


def test_it_is_formatted(alone: Terraform) -> None:
    alone.run("fmt", "-check", "-recursive")


@pytest.mark.parametrize("part", [".", "state", *(f"modules/{name}" for name in MODULES)])
def test_every_part_is_valid(alone: Terraform, part: str) -> None:
    terraform = Terraform(alone.directory / part, alone.environment)
    terraform.init("-backend=false")
    terraform.run("validate", "-no-color")


def test_there_is_no_other_module(alone: Terraform) -> None:
    assert sorted(path.name for path in (alone.directory / "modules").iterdir()) == [*MODULES]


@pytest.mark.parametrize(("file", "kind"), [("variables.tf", "variable"), ("outputs.tf", "output")])
def test_the_readme_lists_all_that_there_is(file: str, kind: str) -> None:
    text = (ROOT / "terraform" / file).read_text(encoding="utf-8")
    readme = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")
    table = readme.split(f"| {'name' if kind == 'variable' else kind} |")[1].split("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]

    assert sorted(listed) == sorted(re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE))
    assert kind == "output" or 8 <= len(listed) <= 12


def test_its_own_tests_pass(alone: Terraform) -> None:
    said = alone.run("test", "-no-color").stdout

    assert re.search(r"Success! [0-9]{2} passed, 0 failed", said)


@pytest.mark.parametrize("name", BAD)
def test_its_own_tests_find_what_is_bad(alone: Terraform, name: str) -> None:
    bad = BAD[name]
    before = edited(bad, alone.directory)
    try:
        said = alone.run("test", "-no-color", f"-filter={bad.test}", expected=(1,)).stdout
    finally:
        (alone.directory / bad.file).write_text(before, encoding="utf-8")

    assert re.findall(r'run "(\w+)"\.\.\. fail', said) == [bad.run]


def test_checkov_finds_nothing(checkov: Path, alone: Terraform) -> None:
    seen = found(checkov, alone.directory)

    assert seen["failed"] == []
    assert len(seen["passed"]) > 50


def test_every_skipped_check_says_why(checkov: Path, alone: Terraform) -> None:
    lines = [line.strip() for path in alone.directory.rglob("*.tf") for line in path.read_text("utf-8").splitlines()]
    skips = [line for line in lines if "checkov:skip" in line]

    assert [line for line in skips if not re.fullmatch(r"#checkov:skip=CKV2?_AWS_\d+:.{20,}", line)] == []
    # One that skips nothing any more would hide the next finding.
    assert {re.search(r"CKV2?_AWS_\d+", line)[0] for line in skips} == set(found(checkov, alone.directory)["skipped"])  # type: ignore[index]


def test_checkov_finds_what_is_bad(checkov: Path, tmp_path: Path) -> None:
    directory = copy(tmp_path / "terraform")
    known = [bad for bad in BAD.values() if bad.checkov]
    for bad in known:
        edited(bad, directory)

    assert {bad.checkov for bad in known} <= set(found(checkov, directory)["failed"])


@dataclass
class Story:
    """The simulated AWS, and what was applied to it: staging, and the bucket for states."""

    cloud: Cloud
    states: Terraform
    hosts_cfg: Path
    public_key: str

    def apply(self, **variables: object) -> None:
        """Apply staging as it stands, but for ``variables``."""
        self.cloud.apply("staging.tfvars", ssh_public_key=self.public_key, hosts_cfg=str(self.hosts_cfg), **variables)

    def hosts(self) -> dict[str, str]:
        """Return the inventory's hosts: what is said of each, by its name."""
        lines = self.hosts_cfg.read_text(encoding="utf-8").split("[pegboard:vars]")[0].splitlines()[2:]
        return dict(line.split(" ", 1) for line in lines if line)

    def settings(self) -> dict[str, str]:
        """Return the inventory's variables."""
        lines = self.hosts_cfg.read_text(encoding="utf-8").split("[pegboard:vars]")[1].splitlines()
        return dict(line.split("=", 1) for line in lines if line)


@contextmanager
def told(work: Path) -> Iterator[Future[Story]]:
    """Begin the story, and let it be waited for: providers wait for AWS most of the time."""
    work.mkdir()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "someone@example.org", "-f", work / "key")
    with cloud(work / "cloud") as ours, ThreadPoolExecutor() as pool:
        story = Story(
            ours,
            ours.other(ours.directory / "state"),
            work / "hosts.cfg",
            (work / "key.pub").read_text(encoding="utf-8"),
        )
        states = pool.submit(story.states.apply, bucket=STATES)

        def begin() -> Story:
            story.apply()
            states.result()
            return story

        yield pool.submit(begin)


@pytest.fixture(scope="module", autouse=True)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Story] | None]:
    """The story, begun before the first test, if any of the chosen ones needs it and the machine can tell it."""
    if not any("story" in getattr(item, "fixturenames", ()) for item in request.session.items) or lacking():
        yield None
        return
    with told(tmp_path_factory.getbasetemp() / "story") as begun:
        yield begun


@pytest.fixture
def story(begun: Future[Story] | None) -> Story:
    needed()
    assert begun is not None
    return begun.result()


def test_a_second_plan_changes_nothing(story: Story) -> None:
    assert story.cloud.plan() is False


def test_the_inventory_holds_the_hosts(story: Story) -> None:
    outputs = story.cloud.outputs()
    said = zip(outputs["addresses"], outputs["instance_ids"], strict=True)
    groups = story.cloud.client("elbv2").describe_target_groups(Names=["pegboard-staging"])["TargetGroups"]

    assert story.hosts() == {
        f"pegboard-staging-{number}": f"ansible_host={address} instance_id={instance}"
        for number, (address, instance) in enumerate(said, start=1)
    }
    assert story.settings() == {
        "ansible_user": "ubuntu",
        "pegboard_environment": "staging",
        "pegboard_balancer": "alb",
        "pegboard_target_group_arn": groups[0]["TargetGroupArn"],
        "pegboard_aws_region": "eu-central-1",
        "pegboard_repository": outputs["repository"],
        "pegboard_registry_login": "ecr",
        "pegboard_model_bucket": outputs["bucket"],
    }
    assert story.hosts_cfg.stat().st_mode & 0o777 == 0o640
    assert list(story.hosts_cfg.parent.glob("hosts.cfg*")) == [story.hosts_cfg]


def test_ssh_is_let_in_from_the_named_network_and_the_app_from_the_balancer(story: Story) -> None:
    rules = story.cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    groups = {
        group["GroupId"]: group["GroupName"]
        for group in story.cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    }
    inward = {
        (rule["FromPort"], rule.get("CidrIpv4") or groups[rule["ReferencedGroupInfo"]["GroupId"]])
        for rule in rules
        if not rule["IsEgress"] and groups[rule["GroupId"]] == "pegboard-staging-hosts"
    }

    assert inward == {(22, "203.0.113.0/24"), (5000, "pegboard-staging-balancer")}


def test_hosts_ask_for_a_token_and_are_in_the_hosts_group_alone(story: Story) -> None:
    reservations = story.cloud.client("ec2").describe_instances()["Reservations"]
    hosts = [host for reservation in reservations for host in reservation["Instances"]]

    assert [host["MetadataOptions"]["HttpTokens"] for host in hosts] == ["required", "required"]
    assert [host["MetadataOptions"]["HttpPutResponseHopLimit"] for host in hosts] == [2, 2]
    assert {group["GroupName"] for host in hosts for group in host["SecurityGroups"]} == {"pegboard-staging-hosts"}


def test_a_hosts_role_may_pull_read_and_be_reached_and_nothing_more(story: Story) -> None:
    iam, role = story.cloud.client("iam"), "pegboard-staging-host"
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    statements = iam.get_role_policy(RoleName=role, PolicyName=inline[0])["PolicyDocument"]["Statement"]
    bucket = f"arn:aws:s3:::{story.cloud.outputs()['bucket']}"

    assert attached == []
    assert inline == ["pull-images-and-read-models"]
    assert {one["Sid"]: one["Resource"] for one in statements} == {
        "PullImages": "arn:aws:ecr:eu-central-1:123456789012:repository/pegboard-staging",
        "LogIn": "*",
        "ListModels": bucket,
        "ReadModels": f"{bucket}/*",
        "BeReached": "*",
    }


def test_the_bucket_for_states_takes_a_state_and_is_kept(story: Story, tmp_path: Path) -> None:
    assert story.states.plan() is False
    refusal = story.states.run(
        "plan", "-destroy", "-refresh=false", "-no-color", f"-var=bucket={STATES}", expected=(1,)
    )
    assert "prevent_destroy" in refusal.stderr

    remote = Terraform(copy(tmp_path / "terraform"), story.cloud.environment)
    remote.init("-backend-config=staging.s3.tfbackend", f"-backend-config=bucket={STATES}",
                "-backend-config=use_path_style=true")  # fmt: skip
    remote.run("state", "push", str(story.cloud.directory / "terraform.tfstate"))
    kept = story.cloud.client("s3").list_objects_v2(Bucket=STATES)["Contents"]

    assert [entry["Key"] for entry in kept] == ["pegboard/staging.tfstate"]
    assert any("pegboard/staging.tfstate.tflock" in line for line in story.cloud.asked())


def written_again(story: Story, environment: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    """Run what ``make hosts`` runs."""
    return run(story.cloud.directory / "hosts.sh", environment, story.hosts_cfg,
               environment=story.cloud.environment, expected=expected)  # fmt: skip


def test_the_inventory_is_written_again_when_somebody_has_lost_it(story: Story) -> None:
    before = story.hosts_cfg.read_bytes()
    story.hosts_cfg.unlink()
    written_again(story, "staging")

    assert story.hosts_cfg.read_bytes() == before


def test_the_inventory_of_another_environment_is_not_written(story: Story) -> None:
    before = story.hosts_cfg.read_bytes()
    said = written_again(story, "production", expected=1)

    assert "another environment than production" in said.stderr
    assert "-backend-config=production.s3.tfbackend" in said.stderr
    assert story.hosts_cfg.read_bytes() == before
    assert list(story.hosts_cfg.parent.glob("hosts.cfg*")) == [story.hosts_cfg]


def test_the_inventory_follows_the_number_of_hosts(story: Story) -> None:
    before = story.hosts()
    story.apply(instance_count=3)
    hosts = story.hosts()

    assert set(hosts) - set(before) == {"pegboard-staging-3"}
    assert {name: hosts[name] for name in before} == before


def test_destroy_leaves_an_inventory_that_somebody_else_has_written(story: Story) -> None:
    theirs = story.hosts_cfg.read_text(encoding="utf-8").replace("staging", "production")
    ours = story.hosts_cfg.read_bytes()
    story.hosts_cfg.write_text(theirs, encoding="utf-8")
    story.cloud.run("destroy", "-no-color", "-auto-approve", "-refresh=false", "-target=terraform_data.hosts_cfg",
                    *story.cloud.settings)  # fmt: skip
    assert story.hosts_cfg.read_text(encoding="utf-8") == theirs

    story.cloud.run("apply", "-no-color", "-auto-approve", "-refresh=false", *story.cloud.settings)
    assert story.hosts_cfg.read_bytes() == ours


def test_destroy_removes_the_machines_and_the_inventory(story: Story) -> None:
    story.cloud.destroy()
    said = written_again(story, "staging", expected=1)

    assert not story.hosts_cfg.exists()
    assert "run terraform init and terraform apply for staging first" in said.stderr
    assert not list(story.hosts_cfg.parent.glob("hosts.cfg*"))


def test_production_as_it_stands_can_be_planned(story: Story) -> None:
    said = story.cloud.run("plan", "-no-color", "-input=false", "-var-file=production.tfvars",
                           f"-var=ssh_public_key={story.public_key}").stdout  # fmt: skip

    assert 'resource "aws_lb_listener" "https"' in said
    assert 'resource "aws_vpc_security_group_ingress_rule" "ssh"' not in said


def test_the_policy_for_who_applies_allows_all_that_this_has_taken(story: Story) -> None:
    asked = story.cloud.asked()

    assert refused(policy("apply"), asked) == set()
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "iam:DeleteRole"} <= set(asked)


def test_the_policy_for_who_applies_allows_nothing_that_hands_out_more() -> None:
    asked = ["iam:CreateUser", "iam:CreateAccessKey", "iam:CreatePolicy", "iam:UpdateAssumeRolePolicy",
             "ssm:SendCommand", "s3:GET /pegboard-models-staging-1/house-prices?", "s3:GET /of-others?"]  # fmt: skip

    assert len(refused(policy("apply"), asked)) == len(asked)


@pytest.mark.parametrize("name", ["apply", "deploy"])
def test_a_policy_is_short_enough_for_iam(name: str) -> None:
    text = (ROOT / "terraform" / "iam" / f"{name}-policy.json").read_text(encoding="utf-8")

    assert len(re.sub(r"\s", "", text)) + 300 < 6144
    assert set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text)) - {"AWS"} <= {"ACCOUNT", "REGION", "STATE_BUCKET"}


def test_what_is_missing_in_a_policy_is_seen(story: Story) -> None:
    less = policy("apply")
    less["Statement"] = [one for one in less["Statement"] if one["Sid"] != "FindTheImage"]

    assert refused(less, story.cloud.asked()) == {"ssm:GetParameter"}


def test_the_simulated_aws_ends_with_its_block(tmp_path: Path) -> None:
    with simulated_aws(tmp_path / "log") as url:
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
