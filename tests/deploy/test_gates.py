"""The linters find nothing in what is deployed and what it is deployed with, and each of them does find what is bad."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.running import ROOT, checked, run, tracked

ANSIBLE, BAD = ROOT / "ansible", Path(__file__).parent / "fixtures" / "gates"
ROLES = sorted((ANSIBLE / "roles").iterdir())
PLAYBOOKS = ("deploy.yml", "rollback.yml", "status.yml")
ANSIBLE_LINT = ("ansible-lint", "--offline", "--nocolor", "--format", "pep8", "-c", ANSIBLE / ".ansible-lint")
YAMLLINT = ("yamllint", "--strict", "--format", "parsable", "-c", ANSIBLE / ".yamllint")
COMPOSE = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
SYNTAX = ("ansible-playbook", "--syntax-check", "-i", BAD / "hosts.cfg")
# A deployment that cannot go further than to the registry, which knows no version.
NOWHERE = "pegboard_image=a@sha256:b pegboard_version=house/1 pegboard_command=false ansible_connection=local"
DEPLOY = ("ansible-playbook", "-i", BAD / "hosts.cfg", ANSIBLE / "deploy.yml", "-e", NOWHERE)


def files(*patterns: str) -> list[Path]:
    """Return the project's files that are so named, the bad examples apart."""
    return [path for name in tracked(*patterns) if BAD not in (path := ROOT / name).parents]


def test_ansible_lint_finds_nothing_by_the_rules_for_production() -> None:
    checked(*ANSIBLE_LINT, cwd=ANSIBLE)
    assert "profile: production" in (ANSIBLE / ".ansible-lint").read_text(encoding="utf-8")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_whole(playbook: str) -> None:
    said = checked(*SYNTAX, ANSIBLE / playbook)
    assert "[WARNING]" not in said.stderr


def test_there_is_no_other_playbook() -> None:
    assert {path.name for path in ANSIBLE.glob("*.yml")} == {*PLAYBOOKS, "requirements.yml"}


def test_yamllint_finds_nothing() -> None:
    found = files("*.yml", "*.yaml")
    assert {ANSIBLE / "deploy.yml", ROOT / "compose.yaml"} <= set(found)
    checked(*YAMLLINT, *found)


def test_hadolint_finds_nothing() -> None:
    found = files("*Dockerfile")
    assert {ROOT / "Dockerfile", ROOT / "tests" / "deploy" / "stand" / "host" / "Dockerfile"} <= set(found)
    checked("hadolint", *found)


def test_compose_reads_what_is_written_for_it() -> None:
    checked(*COMPOSE, ROOT / "compose.yaml")


def test_shellcheck_finds_nothing() -> None:
    found = files("*.sh", ".ci/run")
    assert {ROOT / ".ci" / "run", ROOT / "image" / "build.sh"} <= set(found)
    checked("shellcheck", *found)


@pytest.mark.parametrize(
    ("tool", "bad", "rules"),
    [
        (ANSIBLE_LINT, "short_name.yml", ["fqcn[action-core]"]),
        (ANSIBLE_LINT, "always_changed.yml", ["no-changed-when"]),
        (ANSIBLE_LINT, "swallowed.yml", ["ignore-errors"]),
        (ANSIBLE_LINT, "open_file.yml", ["risky-file-permissions"]),
        (ANSIBLE_LINT, "roles/tidy/defaults/main.yml", ["var-naming[no-role-prefix]"]),
        (SYNTAX, "misspelt.yml", ["'becomes' is not a valid attribute"]),
        (YAMLLINT, "loose.yaml", ["(truthy)", "(octal-values)", "(key-duplicates)"]),
        (("hadolint",), "Dockerfile", ["DL3002", "DL3004", "DL3007"]),
        (COMPOSE, "compose.yaml", ["potrs", "read_only"]),
        (("shellcheck",), "unquoted.sh", ["SC2086"]),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_what_is_bad_is_found(tool: Sequence[str | Path], bad: str, rules: list[str]) -> None:
    said = checked(*tool, bad, cwd=BAD, expected=None)
    assert said.returncode != 0
    assert [rule for rule in rules if rule not in said.stdout + said.stderr] == []


def read(role: Path, file: str) -> Any:
    return yaml.safe_load((role / file).read_text(encoding="utf-8")) or {}


def options(role: Path) -> dict[str, Mapping[str, Any]]:
    return dict(read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_specified_as_it_is(role: Path) -> None:
    defaults, specified = read(role, "defaults/main.yml"), options(role)
    assert list(specified) == list(defaults)
    for name, option in specified.items():
        given, text = literal(defaults[name]), option["description"]
        assert option.get("default", "computed") == given, f"{name}: the spec and defaults/main.yml differ"
        assert (given == "computed") == ("Default " in text), f"{name}: what is its default?"


def literal(default: Any) -> Any:
    """Return a default's value, also where another name comes before it; ``computed`` if it takes Ansible to know."""
    if not (isinstance(default, str) and "{{" in default):
        return default
    found = re.fullmatch(r"\{\{ \w+ \| default\(('[^']*'|false|true|\[\])\)(?: \| bool)? \}\}", default)
    return yaml.safe_load(found[1]) if found else "computed"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_of_a_role_bears_its_name(role: Path) -> None:
    for name in [*read(role, "defaults/main.yml"), *(read(role, "vars/main.yml") if (role / "vars").exists() else [])]:
        assert name.removeprefix("_").startswith(f"{role.name}_")


def noted(tasks: Any) -> Iterator[str]:
    """Yield the names that tasks give to facts, and to what they have seen."""
    for one in tasks if isinstance(tasks, list) else []:
        yield from [*one.get("ansible.builtin.set_fact", ()), *([one["register"]] if "register" in one else [])]
        for part in ("block", "rescue", "always"):
            yield from noted(one.get(part))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_fact_hides_a_variable_of_its_role(role: Path) -> None:
    """A fact that is noted once stands before the variable of that name, to the end of the run."""
    facts = {name for file in (role / "tasks").iterdir() for name in noted(yaml.safe_load(file.read_text()))}
    assert facts
    assert facts & {*read(role, "vars/main.yml"), *read(role, "defaults/main.yml")} == set()


def test_every_entry_point_of_a_playbook_checks_all_variables() -> None:
    specs = read(ANSIBLE / "roles" / "pegboard_serve", "meta/argument_specs.yml")["argument_specs"]
    assert all(spec["options"] == specs["main"]["options"] for spec in specs.values())
    for playbook in PLAYBOOKS:
        first = re.search(r"tasks_from: (\w+)", (ANSIBLE / playbook).read_text(encoding="utf-8"))
        assert first, playbook
        assert first[1] in specs, playbook


def test_the_tables_in_the_readmes_are_up_to_date() -> None:
    done = run(sys.executable, ANSIBLE / "tools" / "variables.py", "--check", expected=None)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("mistyped", "told"),
    [
        ("pegboard_serve_port=5000x", "'pegboard_serve_port' is of type str and we were unable to convert to int"),
        ("pegboard_balancer=halb", "value of pegboard_serve_balancer must be one of: none, haproxy, alb, got: halb"),
        ("pegboard_proxy=yep", "'pegboard_serve_proxy' is of type str and we were unable to convert to bool"),
        ('{"pegboard_jobs": [{"name": "x"}]}', "missing required arguments: calendar, command"),
    ],
)
def test_a_mistyped_value_is_refused_before_a_host_is_touched(mistyped: str, told: str) -> None:
    said = checked(*DEPLOY, "-e", mistyped, expected=2)
    assert told in said.stderr + said.stdout
    assert "Validating arguments" in tasks(said)[-1]


def test_values_of_the_right_type_are_not() -> None:
    said = checked(*DEPLOY, "-e", "pegboard_serve_port=5001 pegboard_serve_ledger=false", expected=2)
    assert "Refuse a version that the registry does not know" in tasks(said)[-1]


def tasks(said: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^TASK \[(.*)\]", said.stdout, re.MULTILINE)
