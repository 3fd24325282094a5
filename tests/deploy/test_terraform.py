"""Terraform's configuration, from which nothing is applied here: its own tests bite, and checkov's do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.cloud import Terraform, copy, needed
from tests.deploy.running import ROOT, apart, run, surroundings

MODULES = ("balancer", "bucket", "hosts", "images", "network")
# What is applied: the machines, the bucket for states, GitHub's way in.
ROOTS = (".", "github", "state")


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
        first, _, rest = self.file.partition("/")
        names = {"variables.tf": "variables", "main.tf": "artifacts", "github": "github"}
        return f"tests/{names.get(first) or rest.split('/')[0]}.tftest.hcl"


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
    "a host's role has no boundary": Bad(
        "modules/hosts/role.tf", ":policy/pegboard-hosts", ":policy/pegboard", "a_hosts_role_has_its_boundary",
    ),
    "a balancer may have one subnet": Bad(
        "modules/balancer/variables.tf", "length(distinct(var.subnet_ids)) >= 2", "length(var.subnet_ids) >= 2",
        "a_balancer_in_one_subnet_is_refused",
    ),
    "no image need be kept": Bad(
        "modules/images/variables.tf", "var.keep >= 1 ", "var.keep >= 0 ", "keeping_no_image_is_refused",
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
    "production makes a bucket beside staging's": Bad(
        "main.tf", 'source = "./modules/bucket"\n  count  = local.own ? 1 : 0',
        'source = "./modules/bucket"\n  count  = 1', "production_makes_no_artifacts_of_its_own",
    ),
    "production's hosts may pull from every repository": Bad(
        "main.tf", "repository_arn    = local.repository_arn", 'repository_arn    = "*"',
        "hosts_of_production_read_staging_alone",
    ),
    "production's hosts may read every bucket": Bad(
        "main.tf", "bucket_arn        = local.bucket_arn", 'bucket_arn        = "arn:aws:s3:::*"',
        "hosts_of_production_read_staging_alone",
    ),
    "GitHub's roles are for every job": Bad(
        "github/main.tf",
        'StringEquals = {\n          "${local.issuer}:aud" = local.audience\n'
        '          "${local.issuer}:sub" = "repo:${var.repository}:${each.value.subject}"',
        'StringLike = {\n          "${local.issuer}:aud" = local.audience\n'
        '          "${local.issuer}:sub" = "repo:${var.repository}:*"', "a_role_is_for_one_subject_alone",
    ),
    "who builds images is not asked for a subject": Bad(
        "github/main.tf", '"${local.issuer}:sub" =', '"${local.issuer}:${each.key == "images" ? "actor" : "sub"}" =',
        "a_role_is_for_one_subject_alone",
    ),
    "a pull request may write": Bad(
        "github/roles.tf", "(Describe|Get|List)", "(Describe|Get|List|Put)", "a_plan_only_reads",
    ),
    "a pull request may read models": Bad(
        "github/roles.tf", "statements = [for statement in local.reading : statement if length(statement.Action) > 0]",
        "statements = concat([for statement in local.reading : statement if length(statement.Action) > 0],"
        ' [merge(local.registry[1], { Action = ["s3:GetObject*"] })])', "a_plan_reads_the_state_and_no_model",
    ),
    "who deploys may push": Bad(
        "github/roles.tf", '!contains(["PushImages", ', '!contains([', "a_job_has_the_rights_of_its_kind",
    ),
    "staging may reach production's hosts": Bad(
        "github/roles.tf", '{ "ssm:resourceTag/Environment" = environment }', "{}",
        "a_host_is_reached_by_its_own_environment_alone",
    ),
    "staging may read production's key": Bad(
        "github/roles.tf", 'replace(local.deploy.ReadTheKey.Resource, "*", environment)',
        "local.deploy.ReadTheKey.Resource", "a_key_is_read_by_its_own_environment_alone",
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
    return apart("checkov") / "checkov"


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


@pytest.mark.parametrize("part", [*ROOTS, *(f"modules/{name}" for name in MODULES)])
def test_every_part_is_valid(alone: Terraform, part: str) -> None:
    terraform = Terraform(alone.directory / part, alone.environment)
    terraform.init("-backend=false")
    terraform.run("validate", "-no-color")


def test_there_is_no_other_module(alone: Terraform) -> None:
    assert sorted(path.name for path in (alone.directory / "modules").iterdir()) == [*MODULES]
    assert {path.parent for path in alone.directory.rglob("*.tf")} == {
        alone.directory / part for part in (*ROOTS, *(f"modules/{name}" for name in MODULES))
    }


@pytest.mark.parametrize(("file", "kind"), [("variables.tf", "variable"), ("outputs.tf", "output")])
def test_the_readme_lists_all_that_there_is(file: str, kind: str) -> None:
    text = (ROOT / "terraform" / file).read_text(encoding="utf-8")
    readme = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")
    table = readme.split(f"| {'name' if kind == 'variable' else kind} |")[1].split("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]

    assert sorted(listed) == sorted(re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE))
    assert kind == "output" or 8 <= len(listed) <= 13


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
