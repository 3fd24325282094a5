"""Images on their way: logged in without a password in anybody's sight, pushed once, copied with their digest kept."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.chain import trusted
from tests.deploy.images import DOCKER, derived, push
from tests.deploy.running import PEGBOARD, ROOT, run, surroundings
from tests.deploy.services import USER, ImageRegistry, image_registry

# A command that writes down what it was called with, and then is what it stands for.
WITNESS = """#!/bin/bash
echo "$*" >>{log}
exec {command} "$@"
"""


@dataclass(frozen=True)
class Registries:
    """Two image registries, each with TLS and a password of its own, and a docker that knows both."""

    work: Path
    first: ImageRegistry
    second: ImageRegistry

    def environment(self, **more: str) -> dict[str, str]:
        return surroundings(DOCKER=DOCKER, DOCKER_CONFIG=str(self.work / "docker")) | more

    def image(self, name: str, bundle: str) -> str:
        """Build an image with little in it, as `make image` would label it; return its tag."""
        tag = f"{self.first.address}/pegboard:{name}"
        return derived("scratch", tag, f"LABEL pegboard.bundle={bundle}\nWORKDIR /x")

    def copy(self, source: str, target: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        return run(ROOT / "image" / "copy.sh", source, target, environment=self.environment(), expected=expected)

    def digest(self, reference: str) -> str | None:
        """Return the digest that a registry has for a tag, as skopeo finds it."""
        settings = self.environment(REGISTRY_AUTH_FILE=str(self.work / "docker" / "config.json"))
        done = run("skopeo", "inspect", "--format", "{{.Digest}}", f"docker://{reference}", environment=settings,
                   expected=None)  # fmt: skip
        return done.stdout.strip() or None


@pytest.fixture(scope="module")
def registries(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    if not shutil.which("skopeo"):
        why = "skopeo is not on PATH: apt-get install skopeo"
        pytest.fail(why) if "CI" in os.environ else pytest.skip(why)
    work = tmp_path_factory.mktemp("registries")
    # Docker trusts anybody on loopback: the bridge is an address that it asks for a certificate.
    bridge = run(
        DOCKER, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"
    ).stdout.strip()
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(image_registry(work / name, bridge or "172.17.0.1")) for name in ("first", "second")
        )
        for registry in (first, second):
            stack.enter_context(trusted(registry))
        both = Registries(work, first, second)
        for registry in (first, second):
            login(both, registry)
        yield both


def login(both: Registries, registry: ImageRegistry, expected: int = 0, **more: str) -> str:
    """Log in as a workflow does; return what was said."""
    settings = both.environment(**{"REGISTRY_USER": USER, "REGISTRY_TOKEN": registry.password, **more})
    done = run(ROOT / "image" / "login.sh", f"{registry.address}/pegboard", environment=settings, expected=expected)
    assert done.stdout == ""
    return done.stderr


def test_a_copy_has_the_digest_of_what_it_was_copied_from(registries: Registries) -> None:
    source = push(registries.image("one", "1"), registries.environment())
    target = f"{registries.second.address}/prices/pegboard:one"
    done = registries.copy(source, target)

    digest = source.split("@")[1]
    assert done.stdout == f"{registries.second.address}/prices/pegboard@{digest}\n"
    assert registries.digest(target) == digest
    pulled = run(DOCKER, "pull", "--quiet", done.stdout.strip(), environment=registries.environment()).stdout
    assert pulled.strip() == done.stdout.strip()

    again = registries.copy(source, target)
    assert again.stdout == done.stdout
    assert "is there already, and is this very image" in again.stderr


def test_a_list_of_images_is_copied_whole(registries: Registries) -> None:
    """As builders with attestations push them: what a deployment names is the list."""
    source = push(registries.image("member", "member"), registries.environment())
    name, digest = source.split("@")
    settings = registries.environment(DOCKER_CLI_EXPERIMENTAL="enabled")
    listed = f"{name}:listed"
    run(DOCKER, "manifest", "create", listed, source, environment=settings)
    made = run(DOCKER, "manifest", "push", listed, environment=settings).stdout.strip()
    assert made != digest

    target = f"{registries.second.address}/pegboard:listed"
    done = registries.copy(f"{name}@{made}", target)
    assert done.stdout.strip() == f"{registries.second.address}/pegboard@{made}"
    raw = ("skopeo", "inspect", "--raw", f"docker://{target}")
    settings = registries.environment(REGISTRY_AUTH_FILE=str(registries.work / "docker" / "config.json"))
    members = json.loads(run(*raw, environment=settings).stdout)["manifests"]
    assert [member["digest"] for member in members] == [digest]


def test_another_image_under_the_tag_is_refused_and_stays(registries: Registries) -> None:
    held, other = (push(registries.image(f"held-{n}", f"held-{n}"), registries.environment()) for n in (1, 2))
    target = f"{registries.second.address}/pegboard:held"
    registries.copy(held, target)
    done = registries.copy(other, target, expected=1)

    assert done.stdout == ""
    assert f"{target} is another image, {held.split('@')[1]}, and is never replaced" in done.stderr
    assert registries.digest(target) == held.split("@")[1]


@pytest.mark.parametrize(("source", "target", "reason"), [
    ("a.example/pegboard:1", "b.example/pegboard:1", "is not an image by its digest"),
    ("a.example/pegboard:1@sha256:" + "0" * 64, "b.example/pegboard:1", "is not an image by its digest"),
    ("a.example/pegboard@sha256:0", "b.example/pegboard:1", "is not an image by its digest"),
    ("a.example/pegboard@sha256:" + "0" * 64, "b.example/pegboard", "is not HOST/NAME:TAG"),
    ("a.example/pegboard@sha256:" + "0" * 64, "pegboard:1", "is not HOST/NAME:TAG"),
    ("a.example/pegboard@sha256:" + "0" * 64, "b.example/pegboard@sha256:" + "0" * 64, "is not HOST/NAME:TAG"),
])  # fmt: skip
def test_what_names_no_one_image_is_not_copied(source: str, target: str, reason: str) -> None:
    done = run(ROOT / "image" / "copy.sh", source, target, environment=surroundings(SKOPEO="/bin/true"), expected=1)
    assert reason in done.stderr
    assert done.stdout == ""


def test_a_source_that_is_not_there_leaves_no_tag(registries: Registries) -> None:
    target = f"{registries.second.address}/pegboard:nothing"
    done = registries.copy(f"{registries.first.address}/pegboard@sha256:{'0' * 64}", target, expected=1)
    assert "was not copied" in done.stderr
    assert registries.digest(target) is None


def test_a_registry_that_lets_nobody_in_is_not_taken_for_one_that_has_no_tag(registries: Registries) -> None:
    source = push(registries.image("closed", "closed"), registries.environment())
    target = f"{registries.second.address}/pegboard:closed"
    settings = surroundings(DOCKER_CONFIG=str(registries.work / "nobody"))
    done = run(ROOT / "image" / "copy.sh", source, target, environment=settings, expected=1)
    assert "does not answer whether it has that tag" in done.stderr
    assert registries.digest(target) is None


def test_a_push_is_done_once_and_may_be_said_twice(registries: Registries) -> None:
    tag = registries.image("twice", "twice")
    first = push(tag, registries.environment())
    done = run(ROOT / "image" / "push.sh", tag, environment=registries.environment())

    assert done.stdout.strip() == first
    assert "is there already, and is this very image" in done.stderr
    # Also on a machine that has pulled it, and has not pushed it.
    run(DOCKER, "rmi", "--force", tag, first)
    run(DOCKER, "pull", "--quiet", tag, environment=registries.environment())
    assert push(tag, registries.environment()) == first


def test_another_image_is_not_pushed_under_a_tag_that_is_there(registries: Registries) -> None:
    tag = registries.image("taken", "before")
    held = push(tag, registries.environment())
    registries.image("taken", "after")
    done = run(ROOT / "image" / "push.sh", tag, environment=registries.environment(), expected=1)

    assert done.stdout == ""
    assert "is not the image that is here, and is never replaced" in done.stderr
    assert registries.digest(tag) == held.split("@")[1]


def test_the_token_goes_to_docker_by_its_standard_input(registries: Registries, tmp_path: Path) -> None:
    log, witness = tmp_path / "called", tmp_path / "docker"
    witness.write_text(WITNESS.format(log=log, command=DOCKER), encoding="utf-8")
    witness.chmod(0o755)
    registry = registries.first
    said = login(registries, registry, DOCKER=str(witness), DOCKER_CONFIG=str(tmp_path / "config"))

    assert log.read_text(encoding="utf-8") == f"login --username {USER} --password-stdin {registry.address}\n"
    assert registry.password not in said
    held = json.loads((tmp_path / "config" / "config.json").read_text(encoding="utf-8"))["auths"][registry.address]
    assert base64.b64decode(held["auth"]).decode() == f"{USER}:{registry.password}"


def test_the_token_may_lie_in_aws(registries: Registries, tmp_path: Path) -> None:
    asked = "ssm get-parameter --name /pegboard/token --with-decryption --query Parameter.Value --output text"
    does = f'[[ "$*" == "{asked}" ]] && echo "{registries.first.password}"'
    (tmp_path / "aws").write_text(f"#!/bin/bash\n{does}\n", encoding="utf-8")
    (tmp_path / "aws").chmod(0o755)
    given = {"REGISTRY_TOKEN": "", "PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_CONFIG": str(tmp_path)}
    login(registries, registries.first, REGISTRY_TOKEN_PARAMETER="/pegboard/token", **given)
    said = login(registries, registries.first, 1, REGISTRY_TOKEN_PARAMETER="/pegboard/other", **given)
    assert "the parameter /pegboard/other was not to be had" in said


def test_what_a_workflow_publishes_is_in_the_registry_in_the_ledger_and_in_its_outputs(
    registries: Registries, tmp_path: Path
) -> None:
    """The step of image.yml: train in the build, gate, build, push; once more when the run is started again."""
    ledger, output, summary = (tmp_path / name for name in ("registry", "output", "summary"))
    settings = registries.environment(
        NAME=f"{registries.first.address}/published", PEGBOARD_REGISTRY=str(ledger),
        GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip
    run(ROOT / ".github" / "scripts" / "publish.sh", environment=settings)
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    commit = run("git", "rev-parse", "HEAD").stdout[:12]

    assert told.keys() == {"image", "tag", "version", "digest"}
    assert told["image"] == f"{registries.first.address}/published@{told['digest']}"
    assert re.fullmatch(rf"{commit}(-changed)?-house-prices-1", told["tag"])
    assert registries.digest(f"{registries.first.address}/published:{told['tag']}") == told["digest"]
    [version] = json.loads(run(PEGBOARD, "models", "list", "--registry", ledger, "--json").stdout)
    assert told["version"] == "house-prices/1"
    assert version["digest"] in summary.read_text()

    output.unlink()
    run(ROOT / ".github" / "scripts" / "publish.sh", environment=settings)
    assert dict(line.split("=", 1) for line in output.read_text().splitlines()) == told


@pytest.mark.parametrize(("given", "reason"), [
    ({"REGISTRY_TOKEN": "wrong"}, f"did not let {USER} in"),
    ({"REGISTRY_TOKEN": ""}, "wants a user and a password: set REGISTRY_USER and REGISTRY_TOKEN"),
    ({"REGISTRY_USER": ""}, "wants a user and a password: set REGISTRY_USER and REGISTRY_TOKEN"),
])  # fmt: skip
def test_who_is_not_let_in_is_told_why(
    registries: Registries, tmp_path: Path, given: Mapping[str, str], reason: str
) -> None:
    said = login(registries, registries.first, 1, DOCKER_CONFIG=str(tmp_path), **given)
    assert reason in said


@pytest.mark.parametrize("name", ["pegboard", "prices/pegboard", "Host.example/a", "https://a.example/b", "a.example"])
def test_a_name_without_a_registry_is_refused(name: str) -> None:
    settings = surroundings(DOCKER="/bin/true", REGISTRY_USER="a", REGISTRY_TOKEN="b")
    done = run(ROOT / "image" / "login.sh", name, environment=settings, expected=1)
    assert "does not say which registry to log in to" in done.stderr


@pytest.mark.parametrize(("registry", "asks", "reason"), [
    ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "echo pass-word", ""),
    ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "exit 1", "ECR in eu-central-1 gave no password"),
    ("evil.amazonaws.com", "echo pass-word", "is not ECR's: ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
])  # fmt: skip
def test_ecr_is_asked_for_its_own_password(tmp_path: Path, registry: str, asks: str, reason: str) -> None:
    """AWS's and docker's sides only write down what they are asked: neither can be asked here."""
    for name, does in (("aws", asks), ("docker", "cat >>$0.given")):
        (tmp_path / name).write_text(f'#!/bin/bash\necho "$*" >>$0.called\n{does}\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    settings = surroundings(DOCKER=str(tmp_path / "docker"), REGISTRY_USER="somebody", REGISTRY_TOKEN="else")
    settings["PATH"] = f"{tmp_path}:{settings['PATH']}"
    done = run(
        ROOT / "image/login.sh", f"{registry}/pegboard-staging", environment=settings, expected=1 if reason else 0
    )

    if reason:
        assert reason in done.stderr
        assert not (tmp_path / "docker.called").exists()
        return
    assert (tmp_path / "aws.called").read_text() == "ecr get-login-password --region eu-central-1\n"
    assert (tmp_path / "docker.called").read_text() == f"login --username AWS --password-stdin {registry}\n"
    assert re.fullmatch("pass-word", (tmp_path / "docker.given").read_text())
