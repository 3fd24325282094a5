"""What is given to `make` arrives as it was given, or is refused: neither make nor a shell nor Ansible reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.running import ROOT, checked, run, surroundings
from tests.deploy.test_gates import BAD

# TRAP becomes a file's name: whoever reads the value as commands makes the file.
COMMANDS = (
    "$(touch TRAP)", "$$(touch TRAP)", "`touch TRAP`", "$(shell touch TRAP)", "${shell touch TRAP}", "x; touch TRAP",
    "x' ; touch TRAP ; '", 'x" ; touch TRAP ; "', "x\ntouch TRAP", "x && touch TRAP", "x | touch TRAP",
    "$(eval export X := $(shell touch TRAP))",
)  # fmt: skip
TEMPLATES = ("{{ lookup('ansible.builtin.pipe', 'touch TRAP') }}", "{% set x = lookup('pipe', 'touch TRAP') %}")
WORDS = (
    "$HOME", "$$HOME", "a pegboard_serve_port=1", "a ansible_connection=local", "--help", "-e@x", "a#b", "a\\", "it's",
    'a"b', "*", "ä €",
)  # fmt: skip
READY = ("venv/.ready-to-run", "venv/.ready-to-deliver", "tools/.ready")
HOSTILE = (*COMMANDS, *TEMPLATES, *WORDS)

# What stands where ansible-playbook and pegboard would: it writes down what it was given.
RECORDER = """#!{python}
import json, os, sys
given = {{name: value for name, value in os.environ.items() if name.startswith(("PEGBOARD_", "ANSIBLE_"))}}
record = {{"argv": sys.argv[1:], "environment": given}}
open("{record}", "w").write(json.dumps(record))
"""


@dataclass(frozen=True)
class Desk:
    """Where somebody types `make`: tools that write down what they are given, and a trap."""

    work: Path

    @property
    def trap(self) -> Path:
        """The file that is there as soon as a value was run."""
        return self.work / "trap"

    def record(self) -> dict[str, Any] | None:
        """Return what the tools were given, if they were called."""
        written = self.work / "record.json"
        return dict(json.loads(written.read_text(encoding="utf-8"))) if written.exists() else None

    def recorder(self, name: str) -> None:
        """Put a recorder in a tool's place."""
        tool = self.work / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(RECORDER.format(python=sys.executable, record=self.work / "record.json"), encoding="utf-8")
        tool.chmod(0o755)

    def make(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `make` with these tools, and with no others."""
        ready = [self.work / file for file in READY]
        settled = [word for file in ready for word in ("-o", str(file))]
        settings = [f"VENV={self.work / 'venv'}", f"TOOLS={self.work / 'tools'}"]
        return run("make", "--no-print-directory", *settled, *settings, *words, expected=None,
                   environment=surroundings() | {"HOME": str(self.work)} | environment)  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for tool in ("tools/bin/ansible-playbook", "venv/bin/pegboard", "venv/bin/python"):
        desk.recorder(tool)
    for file in READY:
        (tmp_path / file).touch()
    return desk


GOOD = {"IMAGE": "a.example/b@sha256:" + "0" * 64, "VERSION": "house/1", "TO": "a.example/b:1"}
REFUSED = None
PLAYS = ("deploy", "rollback", "status", "smoke")
# Where each value of each target arrives: in a variable, in a place among the arguments, or nowhere.
TARGETS: Sequence[tuple[str, str, str | int | None]] = [
    ("image", "NAME", REFUSED), ("login", "NAME", REFUSED), ("push", "IMAGE", REFUSED),
    ("copy", "IMAGE", REFUSED), ("copy", "TO", REFUSED),
    *((target, "ENV", REFUSED) for target in (*PLAYS, "hosts", "known-hosts", "promote")),
    *((target, "OVER", REFUSED) for target in PLAYS),
    ("deploy", "IMAGE", "PEGBOARD_IMAGE"), ("deploy", "VERSION", "PEGBOARD_VERSION"),
    ("deploy", "REASON", "PEGBOARD_REASON"), ("rollback", "REASON", "PEGBOARD_REASON"),
    ("rollback", "BREAK_LOCK", "PEGBOARD_BREAK_LOCK"),
    ("rollback", "TO", "PEGBOARD_TO"), ("smoke", "VERSION", "PEGBOARD_EXPECT"), ("smoke", "URL", "PEGBOARD_URL"),
    ("promote", "VERSION", -1), ("promote", "REASON", -3),
]  # fmt: skip


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize(("target", "variable", "place"), TARGETS)
def test_what_is_hostile_is_refused_or_arrives_verbatim(
    desk: Desk, target: str, variable: str, place: str | int | None, by: str
) -> None:
    for value in (hostile.replace("TRAP", str(desk.trap)) for hostile in HOSTILE):
        given = GOOD | {variable: value}
        words = [f"{name}={text}" for name, text in given.items()] if by == "argument" else []
        done = desk.make(target, *words, **(given if by == "environment" else {}))

        record, said = desk.record(), f"{value!r}: {done.stdout}\n{done.stderr}"
        assert not desk.trap.exists(), said
        if place is REFUSED:
            assert done.returncode != 0, said
            assert record is None, said
            assert value in done.stderr, said
        else:
            assert done.returncode == 0, said
            assert record is not None, said
            assert arrived(record, place) == value, said
            (desk.work / "record.json").unlink()


def arrived(record: Mapping[str, Any], place: str | int | None) -> str:
    if isinstance(place, int):
        return str(record["argv"][place]).removeprefix("--reason=")
    return str(record["environment"][place])


def test_the_traps_work(tmp_path: Path) -> None:
    """The control: recipes that people write run every one of these values."""
    recipes = ("@: $(IMAGE)", "@: '$(IMAGE)'", '@: "$(value IMAGE)"')
    trap = tmp_path / "trap"
    for value in COMMANDS:
        for recipe in recipes:
            (tmp_path / "Makefile").write_text(f"all:\n\t{recipe}\n", encoding="utf-8")
            run("make", "-C", tmp_path, f"IMAGE={value.replace('TRAP', str(trap))}", expected=None)
        assert trap.exists(), value
        trap.unlink()


@pytest.mark.parametrize(("target", "missing"), [
    ("smoke", "VERSION"), ("promote", "VERSION"), ("push", "IMAGE"), ("copy", "IMAGE"), ("copy", "TO"),
])  # fmt: skip
def test_what_is_not_given_is_asked_for(desk: Desk, target: str, missing: str) -> None:
    done = desk.make(target, *(f"{name}={text}" for name, text in GOOD.items() if name != missing))

    assert done.returncode != 0
    assert desk.record() is None
    assert ("REPOSITORY" if target in ("push", "copy") else missing) in done.stderr


def test_promotion_goes_to_the_environment_and_keeps_what_was_given_in_order(desk: Desk) -> None:
    assert desk.make("promote", "VERSION=house/7", "ENV=production", "REASON=all is well").returncode == 0
    record = desk.record()
    assert record
    assert record["argv"] == ["models", "promote", "--to", "production", "--reason=all is well", "--", "house/7"]

    assert desk.make("promote", "VERSION=house/7").returncode == 0
    record = desk.record()
    assert record
    assert record["argv"] == ["models", "promote", "--to", "staging", "--", "house/7"]


def test_an_image_is_built_with_what_docker_is_to_be_told_besides(desk: Desk) -> None:
    (desk.work / "docker").write_text(f'#!/bin/sh\necho "$*" >>{desk.work}/built\nexit 7\n')
    (desk.work / "docker").chmod(0o755)

    done = desk.make(
        "image", "NAME=a.example/b", "ARGS=--build-arg PACKAGES=libgomp1", DOCKER=str(desk.work / "docker")
    )

    assert done.returncode != 0
    assert (desk.work / "built").read_text().strip().endswith("--build-arg PACKAGES=libgomp1 .")


def test_an_expectation_is_only_had_where_it_is_asked_for(desk: Desk) -> None:
    """A job may set VERSION for all its steps: `status` shows, `smoke` judges."""
    for target, expected in (("status", None), ("smoke", "house/7")):
        assert desk.make(target, VERSION="house/7").returncode == 0
        record = desk.record()
        assert record
        assert record["argv"] == ["status.yml"]
        assert record["environment"].get("PEGBOARD_EXPECT") == expected


@pytest.mark.parametrize(("given", "inventories"), [
    ({}, "hosts.cfg"), ({"ENV": "staging"}, "hosts.cfg"), ({"ENV": "nowhere"}, "hosts-nowhere.cfg"),
    ({"ENV": "nowhere", "OVER": "session-manager"}, "hosts-nowhere.cfg,inventory/session-manager.yml"),
    ({"ENV": "nowhere", "ANSIBLE_INVENTORY": "a,b"}, "a,b"),
    ({"ANSIBLE_INVENTORY": "a,b", "OVER": "session-manager"}, "a,b,inventory/session-manager.yml"),
])  # fmt: skip
def test_every_play_goes_to_the_hosts_of_its_environment(desk: Desk, given: dict[str, str], inventories: str) -> None:
    for target in PLAYS:
        assert desk.make(target, "VERSION=house/7", **given).returncode == 0
        record = desk.record()
        assert record
        assert record["environment"]["ANSIBLE_INVENTORY"] == inventories


def test_keys_are_asked_for_the_hosts_of_the_environment(desk: Desk) -> None:
    said = desk.make("known-hosts", "ENV=nowhere").stderr
    assert "error: there is no ansible/hosts-nowhere.cfg: `make hosts` writes it" in said


SHOW = """\
- name: Show what was given
  hosts: localhost
  connection: local
  gather_facts: false
  vars_files: [{defaults}]
  tasks:
    - name: Write it down
      ansible.builtin.copy:
        content: "{{{{ [pegboard_serve_image, pegboard_serve_version, pegboard_serve_reason, pegboard_serve_back_to,
          pegboard_serve_expect, pegboard_serve_public_url, pegboard_serve_port] | to_json }}}}"
        dest: {shown}
        mode: "0600"
"""
LOOKED_UP = tuple(f"PEGBOARD_{name}" for name in ("IMAGE", "VERSION", "REASON", "TO", "EXPECT", "URL"))


def shown(work: Path, *options: str, **environment: str) -> list[Any]:
    """Return what the role's defaults make of an environment."""
    defaults = ROOT / "ansible/roles/pegboard_serve/defaults/main.yml"
    (work / "show.yml").write_text(SHOW.format(defaults=defaults, shown=work / "shown"), encoding="utf-8")
    checked("ansible-playbook", "--version")
    settings = surroundings(**environment, ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg"))
    run("ansible-playbook", "-i", "localhost,", work / "show.yml", *options, environment=settings)
    return list(json.loads((work / "shown").read_text(encoding="utf-8")))


def test_ansible_takes_what_it_finds_in_the_environment_verbatim(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    values = [value.replace("TRAP", str(trap)) for value in HOSTILE]
    for start in range(0, len(values), len(LOOKED_UP)):
        given = dict(zip(LOOKED_UP, (values + values)[start:], strict=False))
        assert shown(tmp_path, **given) == [*given.values(), 5000]
    assert not trap.exists()


def test_what_is_given_on_ansibles_command_line_wins(tmp_path: Path) -> None:
    found = dict.fromkeys(LOOKED_UP, "environment")
    given = ("image", "version", "reason", "rollback_to", "expect", "url")
    options = [word for name in given for word in ("-e", f"pegboard_{name}=command-line")]

    assert shown(tmp_path, *options, **found)[:-1] == ["command-line"] * len(given)
    assert shown(tmp_path)[:-1] == [""] * len(given)


def deployed(desk: Desk, **environment: str) -> str:
    """Run the play of `make deploy` as far as to the registry, which is a recorder; return what Ansible said."""
    checked("ansible-playbook", "--version")
    desk.recorder("registry")
    options = f"pegboard_command={desk.work / 'registry'} ansible_connection=local"
    done = run(
        ROOT / "ansible" / "play.sh", "deploy.yml", "-e", options, expected=2,
        environment=surroundings(**environment, ANSIBLE_INVENTORY=str(BAD / "hosts.cfg"), ANSIBLE_NOCOLOR="1"),
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_registry_is_asked_for_the_version_as_it_was_given(desk: Desk) -> None:
    deployed(desk, PEGBOARD_IMAGE=GOOD["IMAGE"], PEGBOARD_VERSION="--help")
    record = desk.record()
    assert record
    assert record["argv"][:2] == ["models", "replay"]
    assert record["argv"][-2:] == ["--", "--help"]


@pytest.mark.parametrize("image", ["a/b:1 pegboard_serve_port=1", "--privileged", "a/b:1\n", "$HOME", "a/b;c"])
def test_an_image_that_is_none_is_refused_before_anybody_is_asked(desk: Desk, image: str) -> None:
    said = deployed(desk, PEGBOARD_IMAGE=image, PEGBOARD_VERSION="house/1")

    assert "is not an image's name: REPOSITORY@sha256:…" in said
    assert desk.record() is None


@pytest.mark.parametrize(("listed", "reason"), [
    (None, "nowhere.cfg"), ("[other]\na ansible_connection=local\n", "Could not match supplied host pattern"),
])  # fmt: skip
def test_a_play_without_hosts_is_no_success(desk: Desk, listed: str | None, reason: str) -> None:
    """Ansible alone warns of it, and ends with 0."""
    checked("ansible-playbook", "--version")
    inventory = desk.work / "nowhere.cfg"
    if listed:
        inventory.write_text(listed, encoding="utf-8")
    done = run(ROOT / "ansible" / "play.sh", "status.yml", expected=None,
               environment=surroundings(ANSIBLE_INVENTORY=str(inventory), ANSIBLE_NOCOLOR="1"))  # fmt: skip

    assert done.returncode != 0
    assert reason in done.stderr + done.stdout


def test_over_session_manager_a_host_is_its_instance_and_one_without_keeps_its_address(tmp_path: Path) -> None:
    checked("ansible-inventory", "--version")
    (tmp_path / "hosts.cfg").write_text(
        "[pegboard]\na ansible_host=192.0.2.1 instance_id=i-0a1\nb ansible_host=192.0.2.2\n", encoding="utf-8"
    )
    (tmp_path / "over.yml").write_text(
        '{"pegboard": {"hosts": {"a": {"ansible_host": "192.0.2.9"}}}}', encoding="utf-8"
    )
    inventories = [tmp_path / "hosts.cfg", tmp_path / "over.yml", ROOT / "ansible/inventory/session-manager.yml"]

    def addresses(*files: Path) -> dict[str, str]:
        named = [word for file in files for word in ("-i", str(file))]
        told = json.loads(run("ansible-inventory", *named, "--list").stdout)["_meta"]["hostvars"]
        return {host: variables["ansible_host"] for host, variables in told.items()}

    assert addresses(*inventories[:2]) == {"a": "192.0.2.9", "b": "192.0.2.2"}
    assert addresses(*inventories) == {"a": "i-0a1", "b": "192.0.2.2"}


def test_what_a_target_prints_is_its_result_also_when_it_has_to_set_up_first(tmp_path: Path) -> None:
    """A workflow, and the guide, take what `make image` prints as the image's tag; a runner is always fresh."""
    copy = tmp_path / "copy"
    (copy / "image").mkdir(parents=True)
    for name in ("Makefile", "constraints.txt", "setup.cfg"):
        shutil.copy(ROOT / name, copy)
    for part in ("app", *(f"plugins/{path.parent.name}" for path in ROOT.glob("plugins/*/setup.cfg"))):
        (copy / part).mkdir(parents=True)
        shutil.copy(ROOT / part / "setup.cfg", copy / part)
    build = copy / "image" / "build.sh"
    build.write_text('#!/bin/bash\necho building >&2\necho "$1:tag"\n', encoding="utf-8")
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/bash\n", encoding="utf-8")
    for script in (build, python):
        script.chmod(0o755)

    done = run("make", "--no-print-directory", "image", "NAME=a.example/b", cwd=copy, environment=surroundings())
    assert done.stdout == "a.example/b:tag\n"
    assert "installing into .venv" in done.stderr
    assert (copy / ".venv" / ".ready-to-deliver").exists()
