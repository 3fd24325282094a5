"""The scripts of the workflows, run as a job runs them: with the real ``gh``, and a GitHub that is a server here."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.deploy.running import PEGBOARD, ROOT, checked, run, surroundings
from tests.workflows.github import HEAD, Held, github

SCRIPTS = Path(".github") / "scripts"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a directory with the scripts in it, and nothing else."""
    shutil.copytree(ROOT / SCRIPTS, tmp_path / "copy" / SCRIPTS)
    return tmp_path / "copy"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Held, dict[str, str]]]:
    checked("gh", "--version")
    with github(tmp_path) as (held, variables):
        yield held, surroundings(**variables)


def script(
    name: str, copy: Path, surrounded: dict[str, str], expected: int | None = 0
) -> subprocess.CompletedProcess[str]:
    return run(copy / SCRIPTS / name, cwd=copy, environment=surrounded, expected=expected)


def test_a_comment_is_made_once_and_changed_after_that(copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    held, surrounded = there
    mine = {**surrounded, "NUMBER": "7", "TOPIC": "plan-staging", "BODY": "plan.md"}
    (copy / "plan.md").write_text("Plan: 1 to add `$(touch pwned)` @everyone\n")
    held.comments.append({"id": 1, "user": {"type": "User"}, "body": "<!-- plan-staging -->\nmine, not the bot's"})
    assert script("comment.sh", copy, mine).stdout.strip().endswith("#2")
    (copy / "plan.md").write_text("No changes.\n")
    script("comment.sh", copy, mine)
    script("comment.sh", copy, {**mine, "TOPIC": "plan-production"})
    assert [comment["body"] for comment in held.comments] == [
        "<!-- plan-staging -->\nmine, not the bot's",
        "<!-- plan-staging -->\nNo changes.\n",
        "<!-- plan-production -->\nNo changes.\n",
    ]


def test_a_long_comment_of_many_lines_arrives_as_it_is(copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    held, surrounded = there
    text = "".join(f"  + {number}: \"${{x}}\" 'y' `z` \\n é\n" for number in range(1500))
    (copy / "plan.md").write_text(text, encoding="utf-8")
    script("comment.sh", copy, {**surrounded, "NUMBER": "7", "TOPIC": "plan-staging", "BODY": "plan.md"})
    assert held.comments[0]["body"] == f"<!-- plan-staging -->\n{text}"


def test_a_comment_that_is_refused_fails_the_job(copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    (copy / "plan.md").write_text("Plan\n")
    asked = {**there[1], "NUMBER": "7", "TOPIC": "plan", "BODY": "plan.md", "GH_ENTERPRISE_TOKEN": "wrong"}
    assert "Bad credentials" in script("comment.sh", copy, asked, expected=1).stderr


def test_a_version_is_proposed_once(copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    held, surrounded = there
    (copy / "build" / "proposal").mkdir(parents=True)
    (copy / "build" / "proposal" / "report.md").write_text("### house-prices/7\n\nrmse 30,657\n")
    held.files["main", "versions/staging"] = "house-prices/6\n"
    first = script("propose.sh", copy, {**surrounded, "VERSION": "house-prices/7"})
    again = script("propose.sh", copy, {**surrounded, "VERSION": "house-prices/7"})
    assert first.stdout == again.stdout
    assert first.stdout.strip().endswith("/pull/1")
    [pull] = held.pulls
    assert (pull["head"], pull["base"], pull["title"]) == (
        "versions/house-prices-7",
        "main",
        "house-prices/7 for staging",
    )
    assert pull["body"] == "### house-prices/7\n\nrmse 30,657\n"
    assert held.branches == {"main": HEAD, "versions/house-prices-7": HEAD}
    assert held.files == {
        ("main", "versions/staging"): "house-prices/6\n",
        ("versions/house-prices-7", "versions/staging"): "house-prices/7\n",
    }


def test_a_proposal_that_got_half_way_is_made_when_it_is_run_again(
    copy: Path, there: tuple[Held, dict[str, str]]
) -> None:
    held, surrounded = there
    (copy / "build" / "proposal").mkdir(parents=True)
    (copy / "build" / "proposal" / "report.md").write_text("### house-prices/7\n")
    held.files["main", "versions/staging"] = "house-prices/6\n"
    held.may_pull = False
    refused = script("propose.sh", copy, {**surrounded, "VERSION": "house-prices/7"}, expected=1)
    assert "not permitted to create" in refused.stderr
    held.may_pull = True
    script("propose.sh", copy, {**surrounded, "VERSION": "house-prices/7"})
    assert len(held.pulls) == 1
    assert held.files["versions/house-prices-7", "versions/staging"] == "house-prices/7\n"


def test_the_first_proposal_makes_the_file(copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    held, surrounded = there
    (copy / "build" / "proposal").mkdir(parents=True)
    (copy / "build" / "proposal" / "report.md").write_text("### house-prices/1\n")
    script("propose.sh", copy, {**surrounded, "VERSION": "house-prices/1"})
    assert held.files == {("versions/house-prices-1", "versions/staging"): "house-prices/1\n"}


@pytest.mark.parametrize("version", ["house-prices", "house-prices/7; touch x", "../../x/7", "house-prices/latest"])
def test_what_is_no_version_is_not_proposed(version: str, copy: Path, there: tuple[Held, dict[str, str]]) -> None:
    held, surrounded = there
    refused = script("propose.sh", copy, {**surrounded, "VERSION": version}, expected=1)
    assert "is not a version" in refused.stderr
    assert held.asked == []


def test_a_release_has_the_changelog_s_words_and_the_distributions(
    tmp_path: Path, there: tuple[Held, dict[str, str]]
) -> None:
    held, surrounded = there
    copy = tmp_path / "released"
    run("git", "clone", "--quiet", ROOT, copy)
    shutil.copytree(ROOT / SCRIPTS, copy / SCRIPTS, dirs_exist_ok=True)
    shutil.copytree(ROOT / "release", copy / "release", dirs_exist_ok=True)
    changelog = (copy / "CHANGELOG.md").read_text(encoding="utf-8")
    (copy / "CHANGELOG.md").write_text(changelog.replace("(unreleased)", "(2026-12-01)"), encoding="utf-8")
    (copy / "dist" / "packages").mkdir(parents=True)
    (copy / "dist" / "packages" / "pegboard-0.1.0-py3-none-any.whl").write_bytes(b"a wheel\x00")
    (copy / "dist" / "SHA256SUMS").write_bytes(b"a sum\n")
    script("release.sh", copy, {**surrounded, "TAG": "v0.1.0"})
    [release] = held.releases
    assert (release["tag_name"], release["name"], release.get("draft")) == ("v0.1.0", "v0.1.0", False)
    assert release["body"].strip().startswith("### Added")
    assert release["assets"] == {"pegboard-0.1.0-py3-none-any.whl": b"a wheel\x00", "SHA256SUMS": b"a sum\n"}


def test_what_was_approved_is_in_the_summary(copy: Path, tmp_path: Path) -> None:
    asked = {
        "ENV": "production",
        "VERSION": "house-prices/7",
        "IMAGE": "$(id)@sha256:1",
        "GITHUB_STEP_SUMMARY": f"{tmp_path}/s",
    }
    script("approved.sh", copy, surroundings(**asked))
    assert (tmp_path / "s").read_text() == "### house-prices/7 for production\n\n`$(id)@sha256:1`\n"


@pytest.mark.parametrize(
    ("said", "changes"), [("No changes. Your infrastructure matches", "false"), ("Plan: 1 to add", "true")]
)
def test_a_plan_says_whether_there_is_anything_to_apply(said: str, changes: str, copy: Path, tmp_path: Path) -> None:
    (copy / "terraform").mkdir()
    plan = copy / "terraform" / "plan.sh"
    plan.write_text(f'#!/bin/sh\necho "### Terraform: $1"\necho "{said}"\n')
    plan.chmod(0o755)
    files = {"GITHUB_OUTPUT": f"{tmp_path}/output", "GITHUB_STEP_SUMMARY": f"{tmp_path}/summary"}
    script("plan.sh", copy, surroundings(ENV="staging", **files))
    text = f"### Terraform: staging\n{said}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert (tmp_path / "output").read_text() == f"changes={changes}\ndigest={digest}\n"
    assert (tmp_path / "summary").read_text() == (copy / "build" / "plan-staging.md").read_text() == text


def test_a_plan_that_fails_leaves_no_text(copy: Path, tmp_path: Path) -> None:
    (copy / "terraform").mkdir()
    plan = copy / "terraform" / "plan.sh"
    plan.write_text("#!/bin/sh\necho half; exit 3\n")
    plan.chmod(0o755)
    script("plan.sh", copy, surroundings(ENV="staging", GITHUB_OUTPUT=f"{tmp_path}/output"), expected=3)
    assert list((copy / "build").iterdir()) == []
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("given", "promoted"), [({"VERSION": "house-prices/5"}, "house-prices/5"), ({}, "house-prices/7")]
)
def test_what_is_promoted_is_what_was_named_or_else_what_was_merged(
    given: dict[str, str], promoted: str, copy: Path
) -> None:
    (copy / "versions").mkdir()
    (copy / "versions" / "staging").write_text("house-prices/7\n")
    (copy / "Makefile").write_text('promote:\n\t@echo "$$VERSION to $$ENV"\n')
    done = script("promote.sh", copy, surroundings(ENV="staging", **{"VERSION": "", **given}))
    assert done.stdout == f"{promoted} to staging\n"


def test_where_nothing_was_merged_nothing_is_promoted(copy: Path) -> None:
    (copy / "Makefile").write_text("promote:\n\t@echo promoted\n")
    refused = script("promote.sh", copy, surroundings(ENV="production", VERSION=""), expected=1)
    assert "there is no versions/production, which a merged proposal leaves" in refused.stderr
    assert refused.stdout == ""


REPORT = ROOT / "build" / "proposal" / "report.md"


def train(registry: Path, models: str, **variables: str) -> dict[str, str]:
    """Run the step of train.yml, and return its outputs."""
    output = registry.parent / "output"
    output.unlink(missing_ok=True)
    settings = {"PEGBOARD_REGISTRY": str(registry), "PEGBOARD_MODELS": models, "PEGBOARD_FOLDS": "2"}
    surrounded = surroundings(GITHUB_OUTPUT=str(output), **settings, **variables)
    run(PEGBOARD.with_name("python"), ROOT / SCRIPTS / "train.py", environment=surrounded)
    return dict(line.split("=", 1) for line in output.read_text().splitlines())


def promotions(registry: Path) -> list[str]:
    """Return which alias was pointed at which version, in order."""
    told = json.loads(run(PEGBOARD, "models", "history", "--registry", registry, "--json").stdout)
    # Production's promotion crowns the champion too: one entry.
    return [f"{one['alias']}: {one['version']}" for one in told if one["action"] == "promoted"]


def test_what_is_trained_is_promoted_by_the_rule_and_told(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    assert train(registry, "random-forest-regressor") == {"version": "house-prices/1", "passed": "true"}
    assert promotions(registry) == []
    assert train(registry, "random-forest-regressor", RULE="promote") == {"version": "house-prices/2", "passed": "true"}
    assert promotions(registry) == ["staging: 2"]
    report = REPORT.read_text(encoding="utf-8")
    assert "The gate of staging lets it through." in report
    assert "| ✓ | serving |" in report
    assert "random-forest-regressor" in report

    # A worse recipe than the champion's is told, moves nothing, and fails nothing.
    run(PEGBOARD, "models", "promote", "house-prices/2", "--to", "production", "--registry", registry)
    assert train(registry, "linear-regression", RULE="promote") == {"version": "house-prices/3", "passed": "false"}
    assert promotions(registry) == ["staging: 2", "production: 2"]
    report = REPORT.read_text(encoding="utf-8")
    assert "The gate of staging does not let it through." in report
    assert "| ✗ | champion |" in report


def test_a_source_that_cannot_be_had_fails_the_job_and_publishes_nothing(tmp_path: Path) -> None:
    surrounded = surroundings(PEGBOARD_REGISTRY=str(tmp_path / "registry"), PEGBOARD_SOURCE="nowhere")
    done = run(PEGBOARD.with_name("python"), ROOT / SCRIPTS / "train.py", environment=surrounded, expected=1)
    assert "nowhere" in done.stderr
    assert not (tmp_path / "registry").exists()
