"""Terraform against a simulated AWS: a copy of the project's configuration, every endpoint on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.deploy.running import ROOT, surroundings, wait_for

REGION = "eu-central-1"
SERVICES = ("ec2", "ecr", "elbv2", "iam", "s3", "ssm", "sts")
NOT_OURS = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan", "*_override.tf")
# Where Terraform itself looks for providers that nobody has to download, and where else they may be kept.
MIRRORS = ("~/.terraform.d/plugins", "~/.local/share/terraform/plugins", "/usr/local/share/terraform/plugins",
           "/usr/share/terraform/plugins", "/opt/*")  # fmt: skip


def lacking() -> str | None:
    """Say what this machine has not: Terraform, or its provider."""
    if _tool() is None:
        return "terraform is not on PATH: install 1.11 or newer, or let TERRAFORM say where it is"
    if _plugins() is None:
        return (
            "no directory of Terraform's providers was found: `terraform -chdir=terraform providers mirror DIR` makes"
            " one, and PEGBOARD_TF_PLUGINS=DIR names it"
        )
    return None


def needed() -> None:
    """Leave the test where something is lacking: a laptop may be without, CI must not."""
    if why := lacking():
        pytest.fail(why) if "CI" in os.environ else pytest.skip(why)


def _tool() -> str | None:
    return shutil.which(os.environ.get("TERRAFORM", "terraform"))


def _plugins() -> Path | None:
    if named := os.environ.get("PEGBOARD_TF_PLUGINS"):
        return Path(named)
    places = (place for mirror in MIRRORS for place in Path("/").glob(str(Path(mirror).expanduser()).lstrip("/")))
    return next((place for place in places if (place / "registry.terraform.io" / "hashicorp" / "aws").is_dir()), None)


class Terraform:
    """One configuration's directory, and the commands that are run in it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        """Run in ``directory``, with ``environment``."""
        self.directory = directory
        self.environment = environment
        self.settings: list[str] = []

    def run(self, *words: str, expected: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run a command of Terraform's, and fail with all that it said if it ends otherwise than ``expected``."""
        done = subprocess.run(
            [str(_tool()), *words], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode not in expected:
            raise AssertionError(f"terraform {words[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def init(self, *settings: str) -> None:
        """Take the modules and the provider in, the latter from this machine."""
        self.run("init", "-input=false", "-no-color", f"-plugin-dir={_plugins()}", *settings)

    def apply(self, var_file: str | None = None, **variables: object) -> str:
        """Make what the configuration says; return what Terraform said. Later commands use the same settings."""
        files = [f"-var-file={var_file}"] if var_file else []
        self.settings = [*files, *(f"-var={name}={_written(value)}" for name, value in variables.items())]
        return self.run("apply", "-input=false", "-no-color", "-auto-approve", *self.settings).stdout

    def plan(self) -> bool:
        """Return whether an apply of what was applied last would change anything."""
        words = ("plan", "-input=false", "-no-color", "-detailed-exitcode")
        return self.run(*words, *self.settings, expected=(0, 2)).returncode == 2

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of what was applied last."""
        said = json.loads(self.run("output", "-json").stdout)
        return {name: output["value"] for name, output in said.items()}

    def destroy(self) -> None:
        """Take down what was applied last."""
        self.run("destroy", "-input=false", "-no-color", "-auto-approve", *self.settings)


class Cloud(Terraform):
    """The project's root configuration, and the simulated AWS that it is applied to."""

    def __init__(self, directory: Path, url: str, log: Path) -> None:
        """Apply what ``directory`` holds to the AWS at ``url``, which writes down in ``log`` what it was asked."""
        #: What AWS's clients (boto3, aws, ansible, pegboard) need to ask this AWS and no other.
        self.credentials = credentials(url)
        super().__init__(directory, surroundings(**self.credentials))
        self.url = url
        self._log = log

    def other(self, directory: Path) -> Terraform:
        """Return another configuration, ready to be applied to the same AWS; its backend is a local file."""
        _override(directory, self.url)
        terraform = Terraform(directory, self.environment)
        terraform.init()
        return terraform

    def scripted(self, directory: Path, bucket: str) -> Terraform:
        """Make another copy of the root configuration, for the scripts in it: they keep its states in ``bucket``.

        They initialise it themselves, and write inventories into the directory ``ansible`` beside it.
        """
        copy(directory)
        (directory.parent / "ansible").mkdir()
        settings = uninitialised(directory, self.url)
        return Terraform(directory, {**self.environment, **settings, "STATE_BUCKET": bucket})

    def client(self, service: str) -> Any:
        """Return boto3's client for a service."""
        return client(service, self.url)

    def asked(self) -> list[str]:
        """Return what this AWS was asked to do so far, see :mod:`tests.deploy.aws`."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []


@contextmanager
def cloud(directory: Path) -> Iterator[Cloud]:
    """Run a simulated AWS until the block ends, and have a copy of ``terraform/`` ready to be applied to it.

    ``directory`` receives the copy, its state and AWS's log; it must not be there yet. The checkout stays as it is.
    """
    copied = directory / "terraform"
    needed()
    copy(copied)
    # What hosts_cfg is relative to when nobody names another place.
    (directory / "ansible").mkdir()
    with simulated_aws(directory / "aws.log") as url:
        _override(copied, url)
        ours = Cloud(copied, url, directory / "aws.log")
        ours.init()
        yield ours


def uninitialised(directory: Path, url: str) -> dict[str, str]:
    """Point a configuration at a simulated AWS, and leave ``init`` to others; return what their environment must say.

    They know nothing of this AWS: Terraform itself reads this, and puts it first.
    """
    _override(directory, url, backend="")
    return {"TF_CLI_ARGS_init": f"-plugin-dir={_plugins()} -backend-config=use_path_style=true"}


def copy(directory: Path) -> Path:
    """Copy the project's Terraform configuration, without what commands leave behind."""
    shutil.copytree(ROOT / "terraform", directory, ignore=NOT_OURS)
    return directory


@contextmanager
def simulated_aws(log: Path) -> Iterator[str]:
    """Run a simulated AWS in a process of its own until the block ends; return its address."""
    command = [sys.executable, "-m", "tests.deploy.aws", REGION, str(log)]
    said, environment = log.with_suffix(".err"), surroundings()
    with (
        said.open("wb") as errors,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors) as server,
    ):
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip().decode()
            wait_for(f"the simulated AWS says its port: {said.read_text(encoding='utf-8')}", port.isdigit, 0)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def client(service: str, url: str) -> Any:
    """Return boto3's client for a service of the simulated AWS at ``url``."""
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="simulated",
        aws_secret_access_key="simulated",
    )  # fmt: skip


def credentials(url: str) -> dict[str, str]:
    """Name this AWS to everything that would look for another one: profiles, instance roles, the real endpoints."""
    return {
        "AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated", "AWS_ENDPOINT_URL": url,
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip


def _override(directory: Path, url: str, backend: str = 'backend "local" {}') -> None:
    endpoints = "\n".join(f'    {service} = "{url}"' for service in SERVICES)
    (directory / "simulated_override.tf").write_text(
        f"""\
terraform {{
  {backend}
}}

provider "aws" {{
  s3_use_path_style           = true

  endpoints {{
{endpoints}
  }}
}}
""",
        encoding="utf-8",
    )


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
