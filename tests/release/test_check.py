"""A release is refused for every reason there is, each with its file and what to do; and not without one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.deploy.running import ROOT, run
from tests.release.repository import edited, script

Change = Callable[[str], str]


def replaced(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new)


def without(pattern: str) -> Change:
    return lambda text: re.sub(pattern, "", text, count=1, flags=re.MULTILINE)


FINDINGS: dict[str, tuple[str, Change, str, str]] = {
    "another version": (
        "plugins/pegboard-sql/setup.cfg", replaced("version = 1.2.0", "version = 1.1.0"),
        "version is 1.1.0, and that of pegboard 1.2.0", "write version = 1.2.0",
    ),
    "no version": ("app/setup.cfg", without(r"^version = .*\n"), "'' is no version", "PEP 440"),
    "a version that is none": (
        "app/setup.cfg", replaced("version = 1.2.0", "version = next"), "'next' is no version", "PEP 440",
    ),
    "a version in another form": (
        "app/setup.cfg", replaced("version = 1.2.0", "version = 1.2.0-rc1"), "not in its usual form", "1.2.0rc1",
    ),
    "an old core": (
        "plugins/pegboard-sklearn/setup.cfg", replaced("    pegboard==1.2.0", "    pegboard==1.1.0"),
        "install_requires: pegboard==1.1.0 does not ask for the version", "write pegboard==1.2.0",
    ),
    "a loose core": (
        "plugins/pegboard-sklearn/setup.cfg", replaced("    pegboard==1.2.0", "    pegboard>=1.2.0"),
        "install_requires: pegboard>=1.2.0 does not ask", "write pegboard==1.2.0",
    ),
    "an old sibling in an extra": (
        "plugins/pegboard-xgboost/setup.cfg", replaced("pegboard-serve==1.2.0", "pegboard-serve==1.1.0"),
        "the extra testing: pegboard-serve==1.1.0", "write pegboard-serve==1.2.0",
    ),
    "no core": (
        "plugins/pegboard-optuna/setup.cfg", without(r"^    pegboard==1\.2\.0\n"),
        "install_requires does not name pegboard", "add pegboard==1.2.0",
    ),
    "a requirement that is none": (
        "plugins/pegboard-optuna/setup.cfg", replaced("optuna>=5", "optuna=>5"),
        "'optuna=>5' is no requirement", "PEP 508",
    ),
    "a classifier of our own": (
        "setup.cfg", replaced("    Typing :: Typed", "    Typing :: Typed\n    Framework :: Pegboard"),
        "PyPI refuses the classifier 'Framework :: Pegboard'", "take it out",
    ),
    "no description": (
        "app/setup.cfg", without(r"^long_description = .*\n"), "long_description names no file", "README.md",
    ),
    "an empty description": ("app/README.md", lambda _: "\n", "the description is missing or empty", "say what"),
    "a description of no kind": (
        "app/setup.cfg", without(r"^long_description_content_type = .*\n"), "content_type is missing", "text/markdown",
    ),
    "a description of another kind": (
        "app/setup.cfg", replaced("text/markdown", "text/html"), "content_type is text/html", "text/markdown",
    ),
    "no licence in the metadata": (
        "app/setup.cfg", without(r"^license_files = .*\n"), "license_files does not name LICENSE", "license_files",
    ),
    "another licence": (
        "plugins/pegboard-files/LICENSE", lambda text: text + "\nAnd a beer.\n", "not the one of the repository",
        "cp LICENSE plugins/pegboard-files/LICENSE",
    ),
    "no section": (
        "CHANGELOG.md", replaced("## 1.2.0 (unreleased)", "## 1.2 (unreleased)"), "0 sections for 1.2.0", "## 1.2.0",
    ),
    "two sections": (
        "CHANGELOG.md", replaced("## 1.1.0 (2026-01-31)", "## 1.2.0 (2026-01-31)"), "2 sections for 1.2.0", "have one",
    ),
    "a day of another form": (
        "CHANGELOG.md", replaced("(unreleased)", "(1 December 2026)"), "is dated '1 December 2026'", "YYYY-MM-DD",
    ),
    "a day that is none": (
        "CHANGELOG.md", replaced("(unreleased)", "(2026-02-30)"), "is dated '2026-02-30'", "YYYY-MM-DD",
    ),
    "nothing said": (
        "CHANGELOG.md", replaced("- A board.\n", ""), "section of 1.2.0 says nothing", "say what has changed",
    ),
}  # fmt: skip
TAGGED: dict[str, tuple[str, Change, str, str]] = {
    "unreleased": (
        "CHANGELOG.md", replaced("(2026-12-01)", "(unreleased)"), "is dated 'unreleased'", "release/bump.py 1.2.0",
    ),
    "more that is unreleased": (
        "CHANGELOG.md", replaced("## 1.2.0", "## 1.3.0 (unreleased)\n\n- A hammer.\n\n## 1.2.0"),
        "1.3.0 stands above 1.2.0", "tag the commit of 1.2.0",
    ),
}  # fmt: skip


def test_this_repository_can_be_released() -> None:
    done = script(ROOT, "check.py")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_release_that_is_ready_is_let_through(dated: Path) -> None:
    done = script(dated, "check.py", "--tag", "v1.2.0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "11 distributions of version 1.2.0: ok\n"


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_is_wrong_is_found(finding: str, copy: Path) -> None:
    file, change, problem, remedy = FINDINGS[finding]
    assert script(copy, "check.py").returncode == 0
    edited(copy / file, change)
    refused(copy, file, problem, remedy)


@pytest.mark.parametrize("finding", TAGGED)
def test_what_is_wrong_with_a_tagged_release_only_is_found_then(finding: str, dated: Path) -> None:
    file, change, problem, remedy = TAGGED[finding]
    edited(dated / file, change)
    assert script(dated, "check.py").returncode == 0
    refused(dated, file, problem, remedy, "--tag", "v1.2.0")


@pytest.mark.parametrize("tag", ["v1.2.1", "1.2.0", "v1.2", "v1.2.0rc1", "V1.2.0", "refs/tags/v1.2.0", ""])
def test_a_tag_that_names_another_version_is_refused(tag: str, dated: Path) -> None:
    refused(dated, "setup.cfg", f"the tag {tag} does not name version 1.2.0", "tag v1.2.0", "--tag", tag)


def test_a_description_that_does_not_render_is_found(copy: Path) -> None:
    edited(copy / "app" / "setup.cfg", replaced("text/markdown", "text/x-rst"))
    edited(copy / "app" / "README.md", lambda _: "Title\n=\n\n.. nothing:: knows this\n\n`broken <\n")
    refused(copy, "app/README.md", "does not render as text/x-rst", "make dist")


def test_a_licence_that_is_missing_is_found(copy: Path) -> None:
    (copy / "app" / "LICENSE").unlink()
    refused(copy, "app/LICENSE", "the licence is missing", "cp LICENSE app/LICENSE")


def refused(repository: Path, file: str, problem: str, remedy: str, *words: str) -> None:
    done = script(repository, "check.py", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert [
        line for line in done.stderr.splitlines() if line.startswith(f"{file}: ") and problem in line and remedy in line
    ]


def test_all_problems_are_told_at_once_and_as_data(copy: Path) -> None:
    chosen = ["another version", "an old core", "no core", "another licence", "an empty description", "two sections"]
    for finding in chosen:
        edited(copy / FINDINGS[finding][0], FINDINGS[finding][1])
    done = script(copy, "check.py", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["version"], told["distributions"], len(told["problems"])) == ("1.2.0", 11, len(chosen))
    assert {problem["file"] for problem in told["problems"]} == {FINDINGS[finding][0] for finding in chosen}
    assert all(problem.keys() == {"file", "problem", "remedy"} for problem in told["problems"])


def test_the_notes_are_the_section_and_nothing_else(dated: Path) -> None:
    done = script(dated, "check.py", "--tag", "v1.2.0", "--notes")
    assert (done.returncode, done.stdout) == (0, "### Added\n\n- A board.\n")


def test_the_notes_need_nothing_but_python(dated: Path) -> None:
    script = dated / "release" / "check.py"
    done = run(sys.executable, "-I", "-S", "-c", f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r}); "
               f"sys.argv[1:] = ['--notes']; runpy.run_path({str(script)!r}, run_name='__main__')")  # fmt: skip
    assert done.stdout == "### Added\n\n- A board.\n"


def test_there_are_no_notes_of_a_release_that_is_not_ready(copy: Path) -> None:
    done = script(copy, "check.py", "--tag", "v1.2.0", "--notes")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_file_that_cannot_be_read_is_an_error_in_one_line(copy: Path) -> None:
    edited(copy / "app" / "setup.cfg", lambda text: f"nonsense\n{text}")
    done = script(copy, "check.py")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(copy / "app" / "setup.cfg") in done.stderr
