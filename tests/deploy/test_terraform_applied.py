"""A simulated AWS becomes what Terraform's configuration says.

The tests are one story, from the first apply to the last destroy, and run in this order.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from markdown_it import MarkdownIt
from tests.deploy.cloud import Cloud, Terraform, cloud, copy, lacking, needed, simulated_aws
from tests.deploy.policies import BOUNDARY, beyond, boundary, policy, refused
from tests.deploy.running import ROOT, run, surroundings

STATES = "our-states"
ISSUER = "token.actions.githubusercontent.com"
# What each role of GitHub's believes a job to be.
SUBJECTS = {
    "pegboard-github-plan": "environment:plan",
    "pegboard-github-images": "environment:images",
    "pegboard-github-training": "environment:training",
    "pegboard-github-staging-infrastructure": "environment:staging-infrastructure",
    "pegboard-github-production-infrastructure": "environment:production-infrastructure",
    "pegboard-github-staging": "environment:staging",
    "pegboard-github-production": "environment:production",
}


@dataclass
class Story:
    """The simulated AWS, and what was applied to it: staging, the bucket for states, and later production."""

    cloud: Cloud
    states: Terraform
    #: A checkout of its own, whose scripts keep the state of production in the bucket for states.
    production: Terraform
    hosts_cfg: Path
    public_key: str
    #: What AWS was asked by others than who applies.
    others: Counter[str] = field(default_factory=Counter)

    def apply(self, **variables: object) -> None:
        """Apply staging as it stands, but for ``variables``."""
        self.cloud.apply("staging.tfvars", ssh_public_key=self.public_key, hosts_cfg=str(self.hosts_cfg), **variables)

    def applied(self, *words: str) -> str:
        """Apply what was applied last, in the way that ``words`` say; return Terraform's own sum of it."""
        said = self.cloud.run("apply", "-no-color", "-auto-approve", *words, *self.cloud.settings).stdout
        return next(line for line in said.splitlines() if line.startswith("Apply complete!"))

    def machines(self) -> list[dict[str, Any]]:
        """Return how EC2 describes the hosts, in the order of their names."""
        ids = self.cloud.outputs()["instance_ids"]
        reservations = self.cloud.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
        described = {host["InstanceId"]: host for one in reservations for host in one["Instances"]}
        return [described[instance] for instance in ids]

    def disks(self) -> list[dict[str, Any]]:
        """Return how EC2 describes the hosts' disks, in the same order."""
        ids = [host["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] for host in self.machines()]
        described = {one["VolumeId"]: one for one in self.cloud.client("ec2").describe_volumes()["Volumes"]}
        return [described[volume] for volume in ids]

    @contextmanager
    def somebody_else(self) -> Iterator[None]:
        """Let what AWS is asked in this block not be what who applies has asked."""
        before = len(self.cloud.asked())
        yield
        self.others.update(self.cloud.asked()[before:])

    def asked(self) -> list[str]:
        """Return what AWS was asked by who applies."""
        return [*(Counter(self.cloud.asked()) - self.others)]

    def certify(self, work: Path) -> None:
        """Put a certificate that AWS knows into production's values, as the README tells to."""
        key, own = work / "certificate.key", work / "certificate.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=models.example.org",
            "-keyout", key, "-out", own)  # fmt: skip
        given = {"Certificate": own.read_bytes(), "PrivateKey": key.read_bytes()}
        with self.somebody_else():
            made = self.cloud.client("acm").import_certificate(**given)
        variables = self.production.directory / "production.tfvars"
        text = re.sub(r"arn:aws:acm:[^\"]+", made["CertificateArn"], variables.read_text(encoding="utf-8"))
        variables.write_text(text, encoding="utf-8")

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
            ours.scripted(work / "production" / "terraform", STATES),
            work / "hosts.cfg",
            (work / "key.pub").read_text(encoding="utf-8"),
        )
        # What whoever gives out the rights has made before; moto does not ask whether it is there.
        with story.somebody_else():
            ours.client("iam").create_policy(PolicyName="pegboard-hosts", PolicyDocument=json.dumps(boundary()))
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


@dataclass
class GitHub:
    """GitHub's way into a simulated AWS of its own: who makes it may more than any policy here allows."""

    cloud: Cloud
    terraform: Terraform

    def rights(self, name: str) -> dict[str, Any]:
        """Return what AWS lets one of the roles do."""
        iam = self.cloud.client("iam")
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
        policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
        assert len(policies) == 1
        return dict(iam.get_role_policy(RoleName=name, PolicyName=policies[0])["PolicyDocument"])


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    needed()
    with cloud(tmp_path_factory.getbasetemp() / "github") as ours:
        terraform = ours.other(ours.directory / "github")
        terraform.apply(repository="octo-org/octo-repo", state_bucket=STATES)
        yield GitHub(ours, terraform)


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
        group["GroupId"]: re.sub(r"-\d{26}$", "", group["GroupName"])
        for group in story.cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    }
    inward = {
        (rule["FromPort"], rule.get("CidrIpv4") or groups[rule["ReferencedGroupInfo"]["GroupId"]])
        for rule in rules
        if not rule["IsEgress"] and groups[rule["GroupId"]] == "pegboard-staging-hosts"
    }

    assert inward == {(22, "203.0.113.0/24"), (5000, "pegboard-staging-balancer")}


def test_hosts_ask_for_a_token_and_are_in_the_hosts_group_alone(story: Story) -> None:
    hosts = story.machines()
    groups = {re.sub(r"-\d{26}$", "", group["GroupName"]) for host in hosts for group in host["SecurityGroups"]}

    assert [host["MetadataOptions"]["HttpTokens"] for host in hosts] == ["required", "required"]
    assert [host["MetadataOptions"]["HttpPutResponseHopLimit"] for host in hosts] == [2, 2]
    assert groups == {"pegboard-staging-hosts"}


def test_disks_carry_the_projects_tags(story: Story) -> None:
    tags = [{tag["Key"]: tag["Value"] for tag in disk["Tags"]} for disk in story.disks()]

    assert tags == [
        {"Name": f"pegboard-staging-{number}", "Project": "pegboard", "Environment": "staging",
         "ManagedBy": "terraform"}
        for number in (1, 2)
    ]  # fmt: skip


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


def test_a_hosts_role_is_within_its_boundary(story: Story) -> None:
    iam, role = story.cloud.client("iam"), "pegboard-staging-host"
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    rights = iam.get_role_policy(RoleName=role, PolicyName=inline[0])["PolicyDocument"]

    assert iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    with story.somebody_else():
        assert iam.get_policy(PolicyArn=BOUNDARY)["Policy"]["DefaultVersionId"] == "v1"
    assert beyond(boundary(), rights) == set()


def test_what_is_beyond_the_boundary_is_seen() -> None:
    more = {"Statement": [{"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::pegboard-models-a/*"},
                          {"Action": "s3:GetObject", "Resource": "*"},
                          {"Action": "iam:*", "Resource": "*"}]}  # fmt: skip

    assert beyond(boundary(), more) == {"s3:PutObject arn:aws:s3:::pegboard-models-a/*", "s3:GetObject *", "iam:* *"}


def test_the_bucket_for_states_takes_a_state_and_is_kept(story: Story, tmp_path: Path) -> None:
    assert story.states.plan() is False
    refusal = story.states.run(
        "plan", "-destroy", "-refresh=false", "-no-color", f"-var=bucket={STATES}", expected=(1,)
    )
    assert re.search(r"module\.bucket\.aws_s3_bucket\.this has\s+lifecycle\.prevent_destroy set", plain(refusal.stderr))

    remote = Terraform(copy(tmp_path / "terraform"), story.cloud.environment)
    remote.init("-backend-config=staging.s3.tfbackend", f"-backend-config=bucket={STATES}",
                "-backend-config=use_path_style=true")  # fmt: skip
    remote.run("state", "push", str(story.cloud.directory / "terraform.tfstate"))
    kept = story.cloud.client("s3").list_objects_v2(Bucket=STATES)["Contents"]

    assert [entry["Key"] for entry in kept] == ["pegboard/staging.tfstate"]
    assert any("pegboard/staging.tfstate.tflock" in line for line in story.cloud.asked())


def blocks(title: str) -> list[str]:
    """Return what a section of the README says to type."""
    section = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8").split(f"\n## {title}\n")[1]
    return [one.content for one in MarkdownIt().parse(section.split("\n## ")[0]) if one.type == "code_block"]


def plain(said: str) -> str:
    """Take the frame away that Terraform draws around an error."""
    return re.sub(r"[│╷╵]", "", said)


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


def test_what_was_applied_before_artifacts_could_be_shared_stays(story: Story) -> None:
    for name in ("images", "bucket"):
        story.cloud.run("state", "mv", f"module.{name}[0]", f"module.{name}")
    said = story.cloud.run("apply", "-no-color", "-auto-approve", "-refresh=false", *story.cloud.settings).stdout

    assert "module.bucket.aws_s3_bucket.this has moved to module.bucket[0].aws_s3_bucket.this" in said
    assert "module.images.aws_ecr_repository.this has moved to module.images[0].aws_ecr_repository.this" in said
    assert "0 added, 0 changed, 0 destroyed" in said


def scripted(story: Story, script: str, *words: str | Path, expected: int = 0, **more: str) -> tuple[str, str]:
    """Run one of the scripts for production; return what it wrote to standard output, and to standard error."""
    environment = {**story.production.environment, "TF_VAR_ssh_public_key": story.public_key, **more}
    done = run(story.production.directory / script, *words, environment=environment, expected=expected)
    return done.stdout, done.stderr


def read(markdown: str) -> tuple[str, str]:
    """Read a plan as GitHub does: return what stands around its text, and the text; there is nothing else."""
    tokens = MarkdownIt().parse(markdown)
    assert [token.type for token in tokens if not token.type.endswith("_close")] == [
        "heading_open", "inline", "paragraph_open", "inline", "html_block", "fence",
        *(["paragraph_open", "inline"] if "Cut after" in markdown else []), "html_block",
    ]  # fmt: skip
    assert [token.content for token in tokens if token.type == "html_block"] == [
        "<details><summary>The whole plan</summary>\n", "</details>\n"
    ]  # fmt: skip
    said = [token.content for token in tokens if token.type == "inline"]
    return "\n".join(said), next(token.content for token in tokens if token.type == "fence")


def test_a_plan_is_markdown_for_whoever_reviews_it(story: Story, tmp_path: Path) -> None:
    markdown, log = scripted(story, "plan.sh", "production", tmp_path / "production.tfplan")
    said, text = read(markdown)

    assert re.fullmatch(r"Terraform: production\nPlan: \d\d to add, 0 to change, 0 to destroy\.", said)
    assert 'resource "aws_lb_listener" "https"' in text
    assert 'resource "aws_vpc_security_group_ingress_rule" "ssh"' not in text
    assert "module.images" not in text
    assert "module.bucket" not in text
    assert text.strip() in log
    assert [path.name for path in tmp_path.iterdir()] == ["production.tfplan"]
    assert (tmp_path / "production.tfplan").stat().st_mode & 0o777 == 0o600


def test_a_plan_that_is_long_and_hostile_stays_in_its_fence(story: Story) -> None:
    lines = ["```", "````", "</details>", "~~~", "<img src=x>", *(f"line {n} of a plan ü" for n in range(5000))]
    more = story.production.directory / "long.tf"
    more.write_text(f'resource "terraform_data" "long" {{\n  input = {json.dumps(chr(10).join(lines))}\n}}\n', "utf-8")
    try:
        markdown, log = scripted(story, "plan.sh", "production")
    finally:
        more.unlink()
    said, text = read(markdown)
    shown = text.splitlines()

    assert {"```", "````", "</details>"} <= {line.strip() for line in shown}
    assert 60_000 < len(markdown.encode()) <= 65_000
    cut = re.search(r"Cut after (\d+) of (\d+) lines: the rest is in the log", said)
    assert cut
    assert len(shown) == int(cut[1])
    assert int(cut[2]) - int(cut[1]) > 1000
    assert text in log
    assert "line 4999 of a plan ü" in log


def test_a_plan_that_fails_ends_with_terraforms_words_and_leaves_nothing(story: Story, tmp_path: Path) -> None:
    variables = story.production.directory / "production.tfvars"
    before = variables.read_text(encoding="utf-8")
    variables.write_text(before.replace('["0.0.0.0/0"]', "[]"), encoding="utf-8")
    try:
        markdown, log = scripted(story, "plan.sh", "production", tmp_path / "plan", expected=1)
        assert scripted(story, "apply.sh", "production", expected=1)[0] == ""
    finally:
        variables.write_text(before, encoding="utf-8")

    assert markdown == ""
    assert "app_cidrs must name at least one IPv4 network" in log
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "words", "settings", "told"),
    [
        ("plan.sh", ["production"], {}, "error: STATE_BUCKET is not set"),
        ("apply.sh", ["staging"], {}, "error: STATE_BUCKET is not set"),
        ("plan.sh", ["test"], {"STATE_BUCKET": STATES}, "error: test is neither staging nor production"),
        ("apply.sh", ["../production"], {"STATE_BUCKET": STATES}, "error: ../production is neither"),
        ("plan.sh", [], {"STATE_BUCKET": STATES}, "usage: STATE_BUCKET=… terraform/plan.sh staging|production [FILE]"),
        ("apply.sh", [], {"STATE_BUCKET": STATES}, "usage: STATE_BUCKET=… terraform/apply.sh staging|production"),
    ],
)
def test_a_script_that_is_told_too_little_says_what_it_needs(
    script: str, words: list[str], settings: dict[str, str], told: str
) -> None:
    # Were Terraform asked all the same, this would end in a command that is not there.
    environment = {key: value for key, value in surroundings().items() if key != "STATE_BUCKET"} | settings
    done = run(ROOT / "terraform" / script, *words, environment={**environment, "TERRAFORM": "/nowhere"}, expected=2)

    assert told in done.stderr
    assert "/nowhere" not in done.stderr
    assert done.stdout == ""


def test_production_is_applied_and_uses_what_staging_has_tested(story: Story, tmp_path: Path) -> None:
    story.certify(tmp_path)
    # What somebody has approved is what is applied, and nothing else is.
    shown = scripted(story, "plan.sh", "production")[0]
    refused = scripted(story, "apply.sh", "production", expected=1, PLAN_DIGEST="0" * 64)[1]
    assert "production would be changed in another way than when it was planned" in refused
    scripted(story, "apply.sh", "production", PLAN_DIGEST=hashlib.sha256(shown.encode()).hexdigest())
    staging, client = story.cloud.outputs(), story.cloud.client
    inventory = (story.production.directory.parent / "ansible" / "hosts-production.cfg").read_text(encoding="utf-8")
    policy = client("iam").get_role_policy(RoleName="pegboard-production-host",
                                           PolicyName="pull-images-and-read-models")["PolicyDocument"]  # fmt: skip

    assert [one["repositoryName"] for one in client("ecr").describe_repositories()["repositories"]] == [
        "pegboard-staging"
    ]
    with pytest.raises(ClientError, match="404"):
        client("s3").head_bucket(Bucket=staging["bucket"].replace("staging", "production"))
    assert {one["Sid"]: one["Resource"] for one in policy["Statement"] if one["Resource"] != "*"} == {
        "PullImages": "arn:aws:ecr:eu-central-1:123456789012:repository/pegboard-staging",
        "ListModels": f"arn:aws:s3:::{staging['bucket']}",
        "ReadModels": f"arn:aws:s3:::{staging['bucket']}/*",
    }
    assert beyond(boundary(), policy) == set()
    assert f"\npegboard_repository={staging['repository']}\n" in inventory
    assert f"\npegboard_model_bucket={staging['bucket']}" in inventory
    assert "\npegboard_environment=production\n" in inventory
    assert [path.name for path in (story.production.directory.parent / "ansible").iterdir()] == ["hosts-production.cfg"]
    kept = client("s3").list_objects_v2(Bucket=STATES)["Contents"]
    assert "pegboard/production.tfstate" in [entry["Key"] for entry in kept]


def test_the_role_for_pull_requests_may_all_that_a_plan_asks(story: Story, github: GitHub) -> None:
    before = len(story.cloud.asked())
    said, _ = read(scripted(story, "plan.sh", "production")[0])
    asked = story.cloud.asked()[before:]

    assert said == "Terraform: production\nNo changes. Your infrastructure matches the configuration."
    assert refused(github.rights("pegboard-github-plan"), asked) == set()
    assert {"ec2:DescribeInstances", "ecr:DescribeRepositories", f"s3:GET /{STATES}/pegboard/production.tfstate?"} <= {
        line.partition("x-id")[0] for line in asked
    }


def test_the_role_that_deploys_may_all_that_the_inventory_asks(story: Story, github: GitHub, tmp_path: Path) -> None:
    before = len(story.cloud.asked())
    story.production.run("init", "-reconfigure", "-input=false", "-backend-config=production.s3.tfbackend",
                         f"-backend-config=bucket={STATES}")  # fmt: skip
    run(story.production.directory / "hosts.sh", "production", tmp_path / "hosts.cfg",
        environment=story.production.environment)  # fmt: skip
    asked = story.cloud.asked()[before:]

    assert "pegboard_environment=production" in (tmp_path / "hosts.cfg").read_text(encoding="utf-8")
    assert any(f"{STATES}/pegboard/production.tfstate" in line for line in asked)
    # AWS says to everybody who they are.
    assert refused(github.rights("pegboard-github-production"), asked) <= {"sts:GetCallerIdentity"}


def test_another_type_and_a_larger_disk_come_to_one_host_after_the_other(story: Story) -> None:
    hosts = [host["InstanceId"] for host in story.machines()]
    values = story.cloud.directory / "staging.tfvars"
    text = values.read_text(encoding="utf-8").replace('"t3.small"', '"t3.medium"')
    values.write_text(f"{text}volume_size    = 30\n", encoding="utf-8")
    first = story.applied("-target=module.hosts.aws_instance.host[0]")
    types = [host["InstanceType"] for host in story.machines()]
    story.applied()

    assert "0 added, 1 changed, 0 destroyed" in first
    assert types == ["t3.medium", "t3.small"]
    assert [host["InstanceType"] for host in story.machines()] == ["t3.medium", "t3.medium"]
    assert [disk["Size"] for disk in story.disks()] == [30, 30]
    assert [host["InstanceId"] for host in story.machines()] == hosts


def test_another_template_and_another_key_are_for_hosts_that_are_made_later(story: Story) -> None:
    ec2 = story.cloud.client("ec2")
    hosts = [host["InstanceId"] for host in story.machines()]
    key = ec2.describe_key_pairs(KeyNames=["pegboard-staging"])["KeyPairs"][0]["KeyFingerprint"]
    template = story.cloud.directory / "modules" / "hosts" / "user-data.yaml.tftpl"
    template.write_text(template.read_text(encoding="utf-8") + "timezone: Etc/UTC\n", encoding="utf-8")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", story.hosts_cfg.with_name("another"))
    story.cloud.settings += [f"-var=ssh_public_key={story.hosts_cfg.with_name('another.pub').read_text('utf-8')}"]
    story.applied("-replace=module.hosts.aws_instance.host[0]")
    first, second = (host["InstanceId"] for host in story.machines())
    shown = ec2.describe_instance_attribute(InstanceId=first, Attribute="userData")["UserData"]["Value"]

    assert ec2.describe_key_pairs(KeyNames=["pegboard-staging"])["KeyPairs"][0]["KeyFingerprint"] != key
    assert (first != hosts[0], second != hosts[1]) == (True, False)
    assert base64.b64decode(shown).endswith(b"\ntimezone: Etc/UTC\n")
    # Whoever was stopped has another address.
    assert story.hosts() == {
        f"pegboard-staging-{number}": f"ansible_host={host['PublicIpAddress']} instance_id={host['InstanceId']}"
        for number, host in enumerate(story.machines(), start=1)
    }
    assert story.cloud.plan() is False


def test_what_has_a_name_of_its_own_can_be_replaced(story: Story) -> None:
    named = ("balancer.aws_lb_target_group.this", "hosts.aws_key_pair.this",
             "network.aws_security_group.balancer", "network.aws_security_group.hosts",
             "hosts.aws_instance.host[0]", "hosts.aws_instance.host[1]")  # fmt: skip
    story.applied(*(f"-replace=module.{one}" for one in named))
    group = story.cloud.client("elbv2").describe_target_groups(Names=["pegboard-staging"])["TargetGroups"][0]

    assert story.settings()["pegboard_target_group_arn"] == group["TargetGroupArn"]
    assert story.cloud.plan() is False


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


def changing(story: Story, before: int) -> list[str]:
    """Return what AWS was asked to change since the log had ``before`` lines."""
    reads = r"\w+:(Describe|Get|List)|s3:(GET|HEAD) "
    return [line for line in story.cloud.asked()[before:] if not re.match(reads, line)]


def kept(story: Story) -> dict[str, Any]:
    """Return what AWS says of staging's repository and bucket: how they are closed, and what they hold."""
    s3, ecr, bucket = story.cloud.client("s3"), story.cloud.client("ecr"), "pegboard-models-staging-123456789012"
    return {
        "versioning": s3.get_bucket_versioning(Bucket=bucket)["Status"],
        "policy": json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]),
        "access": s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        "encryption": s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
        "lifecycle": s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
        "models": [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]],
        "repository": ecr.describe_repositories(repositoryNames=["pegboard-staging"])["repositories"],
        "images": ecr.get_lifecycle_policy(repositoryName="pegboard-staging")["lifecyclePolicyText"],
    }


def test_a_destroy_that_would_take_models_and_images_is_refused_before_anything_is_touched(story: Story) -> None:
    bucket = story.cloud.outputs()["bucket"]
    with story.somebody_else():
        story.cloud.client("s3").put_object(Bucket=bucket, Key="registry/house-prices/1/model.joblib", Body=b"a model")
    before, held = len(story.cloud.asked()), kept(story)
    said = story.cloud.run("destroy", "-no-color", "-auto-approve", *story.cloud.settings, expected=(1,)).stderr

    assert changing(story, before) == []
    assert set(re.findall(r"Resource\s+(\S+)\s+has\s+lifecycle.prevent_destroy", plain(said))) == {
        "module.bucket[0].aws_s3_bucket.this", "module.images[0].aws_ecr_repository.this",
    }  # fmt: skip
    assert kept(story) == held
    assert story.hosts_cfg.exists()


def test_an_environment_that_has_its_own_artifacts_does_not_lose_them_to_anothers(story: Story) -> None:
    ecr, s3 = story.cloud.client("ecr"), story.cloud.client("s3")
    theirs = "pegboard-models-production-123456789012"
    with story.somebody_else():
        ecr.create_repository(repositoryName="pegboard-production")
        s3.create_bucket(Bucket=theirs, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    before = len(story.cloud.asked())
    said = story.cloud.run("apply", "-no-color", "-auto-approve", *story.cloud.settings,
                           "-var=artifacts_from=production", expected=(1,)).stderr  # fmt: skip

    assert changing(story, before) == []
    assert "module.bucket[0].aws_s3_bucket.this" in said
    assert "module.images[0].aws_ecr_repository.this" in said
    with story.somebody_else():
        ecr.delete_repository(repositoryName="pegboard-production")
        s3.delete_bucket(Bucket=theirs)


def test_destroy_removes_the_machines_and_the_inventory_and_keeps_models_and_images(story: Story) -> None:
    held = kept(story)
    forget, destroy = blocks("Taking it down")[0].splitlines()
    assert destroy == "terraform destroy -var-file=staging.tfvars"
    story.cloud.run(*shlex.split(forget)[1:])
    story.cloud.destroy()
    said = written_again(story, "staging", expected=1)

    assert not story.hosts_cfg.exists()
    assert "run terraform init and terraform apply for staging first" in said.stderr
    assert not list(story.hosts_cfg.parent.glob("hosts.cfg*"))
    assert kept(story) == held
    running = {"tag:Environment": "staging", "instance-state-name": "running"}
    filters = [{"Name": name, "Values": [value]} for name, value in running.items()]
    assert story.cloud.client("ec2").describe_instances(Filters=filters)["Reservations"] == []
    # Production goes on with what staging has tested.
    assert "\nNo changes." in read(scripted(story, "plan.sh", "production")[0])[0]


def test_what_was_kept_is_taken_in_again(story: Story) -> None:
    held = kept(story)
    (story.cloud.directory / "again.tf").write_text(blocks("Taking it down")[1], encoding="utf-8")
    said = story.applied("-target=module.bucket", "-target=module.images")

    assert "2 imported" in said
    assert "0 destroyed" in said
    assert kept(story) == held


def test_production_without_staging_fails_at_the_plan(story: Story) -> None:
    with story.somebody_else():
        story.cloud.client("ecr").delete_repository(repositoryName="pegboard-staging", force=True)
    _, said = scripted(story, "plan.sh", "production", expected=1)

    assert re.search(r"ECR Repository \(pegboard-staging\)", said)
    assert "RepositoryNotFoundException" in said or "couldn't find resource" in said


def test_github_is_let_in_for_one_kind_of_job_each(github: GitHub) -> None:
    iam = github.cloud.client("iam")
    provider = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"
    made = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    roles = iam.list_roles()["Roles"]

    assert (made["Url"].removeprefix("https://"), made["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    assert {role["RoleName"]: role["AssumeRolePolicyDocument"]["Statement"] for role in roles} == {
        name: [{
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": f"repo:octo-org/octo-repo:{subject}",
            }},
        }]
        for name, subject in SUBJECTS.items()
    }  # fmt: skip
    assert {role["MaxSessionDuration"] for role in roles} == {3600}
    assert github.terraform.outputs()["roles"] == {role["RoleName"]: role["Arn"] for role in roles}


def test_githubs_way_in_is_whole_after_one_apply(github: GitHub) -> None:
    assert github.terraform.plan() is False


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_role_of_githubs_fits_into_iam(github: GitHub, name: str) -> None:
    assert len(re.sub(r"\s", "", json.dumps(github.rights(name)))) <= 10240


def test_who_applies_from_github_has_the_policy_that_is_held_here(github: GitHub) -> None:
    assert github.rights("pegboard-github-staging-infrastructure") == policy("apply")
    assert github.rights("pegboard-github-production-infrastructure") == policy("apply")


def test_a_pull_request_may_neither_change_anything_nor_read_a_model(github: GitHub) -> None:
    asked = ["ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "iam:PutRolePolicy", "ecr:PutImage",
             f"s3:PUT /{STATES}/pegboard/staging.tfstate?", f"s3:DELETE /{STATES}/pegboard/staging.tfstate.tflock?",
             "s3:GET /pegboard-models-staging-123456789012/registry/house-prices/1/model.joblib?"]  # fmt: skip

    assert len(refused(github.rights("pegboard-github-plan"), asked)) == len(asked)


def test_the_policy_for_who_applies_allows_all_that_this_has_taken(story: Story) -> None:
    asked = story.asked()

    assert refused(policy("apply"), asked, within=BOUNDARY) == set()
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "iam:DeleteRole", "ec2:ModifyVolume", "ec2:StopInstances",
            "ec2:ModifyInstanceAttribute", "ec2:ImportKeyPair", "ec2:DeleteKeyPair"} <= set(asked)  # fmt: skip


def test_the_policy_for_who_applies_allows_nothing_that_hands_out_more() -> None:
    asked = ["iam:CreateUser", "iam:CreateAccessKey", "iam:CreatePolicy", "iam:UpdateAssumeRolePolicy",
             "ssm:SendCommand", "s3:GET /pegboard-models-staging-1/house-prices?", "s3:GET /of-others?"]  # fmt: skip

    assert len(refused(policy("apply"), asked)) == len(asked)


def test_who_applies_writes_roles_within_the_boundary_alone_and_cannot_move_it() -> None:
    roles = ["iam:CreateRole", "iam:PutRolePolicy"]
    moving = ["iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary", "iam:CreatePolicyVersion",
              "iam:SetDefaultPolicyVersion", "iam:DeletePolicy", "iam:AttachRolePolicy"]  # fmt: skip

    assert refused(policy("apply"), roles, within=BOUNDARY) == set()
    for elsewhere in (None, "arn:aws:iam::123456789012:policy/another"):
        assert refused(policy("apply"), roles, within=elsewhere) == set(roles)
    assert refused(policy("apply"), moving, within=BOUNDARY) == set(moving)


def test_what_moto_does_not_ask_for_is_allowed(github: GitHub) -> None:
    # AWS looks for the groups itself, in CreateLoadBalancer.
    assert refused(policy("apply"), ["ec2:GetSecurityGroupsForVpc"]) == set()
    # The plugin opens a session's channel with the rights of who has started it.
    for rights in (policy("deploy"), github.rights("pegboard-github-production")):
        assert refused(rights, ["ssmmessages:OpenDataChannel"]) == set()


def test_an_image_of_ones_own_may_be_found_where_the_readme_says() -> None:
    found = next(one["Resource"] for one in policy("apply")["Statement"] if one["Sid"] == "FindTheImage")

    assert "arn:aws:ssm:eu-central-1:123456789012:parameter/pegboard/images/*" in found


def test_the_rights_are_made_as_the_readme_says(github: GitHub) -> None:
    if not shutil.which("aws"):
        pytest.fail("aws is not on PATH") if "CI" in os.environ else pytest.skip("aws is not on PATH")
    commands = next(block for block in blocks("The first ten minutes") if "create-policy" in block)
    work = github.cloud.directory.parent
    run("sh", "-euc", commands, cwd=work, environment=github.cloud.environment)
    iam, filled_in = github.cloud.client("iam"), work / "build" / "iam"

    assert iam.get_policy_version(PolicyArn=BOUNDARY, VersionId="v1")["PolicyVersion"]["Document"] == boundary()
    for name in ("apply", "deploy"):
        assert json.loads((filled_in / f"{name}-policy.json").read_text(encoding="utf-8")) == policy(name)


@pytest.mark.parametrize("name", ["apply-policy", "deploy-policy", "hosts-boundary"])
def test_a_policy_is_short_enough_for_iam(name: str) -> None:
    text = (ROOT / "terraform" / "iam" / f"{name}.json").read_text(encoding="utf-8")

    assert len(re.sub(r"\s", "", text)) + 300 < 6144
    assert set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text)) - {"AWS"} <= {"ACCOUNT", "REGION", "STATE_BUCKET"}


def test_what_is_missing_in_a_policy_is_seen(story: Story) -> None:
    less = policy("apply")
    less["Statement"] = [one for one in less["Statement"] if one["Sid"] != "FindTheImage"]

    assert refused(less, story.asked(), within=BOUNDARY) == {"ssm:GetParameter"}


def test_the_simulated_aws_ends_with_its_block(tmp_path: Path) -> None:
    with simulated_aws(tmp_path / "log") as url:
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
