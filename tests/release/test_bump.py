"""One command gives all distributions a version and the changelog its day; or it says why not, and changes nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.release.repository import contents, edited, script


def test_what_was_bumped_can_be_tagged(copy: Path) -> None:
    before = contents(copy)
    done = script(copy, "bump.py", "1.3.0", "--date", "2026-12-24")
    assert done.returncode == 0, done.stderr
    assert script(copy, "check.py", "--tag", "v1.3.0").returncode == 0
    after = contents(copy)
    changed = {name for name in after if after[name] != before[name]}
    configs = {name for name in before if re.fullmatch(r"(app/|plugins/[^/]+/)?setup\.cfg", name)}
    assert len(configs) == 11
    assert (changed, before.keys()) == (configs | {"CHANGELOG.md"}, after.keys())
    for name in configs:
        assert after[name] == before[name].replace(b"1.2.0", b"1.3.0")
    assert after["CHANGELOG.md"] == before["CHANGELOG.md"].replace(b"1.2.0 (unreleased)", b"1.3.0 (2026-12-24)")


def test_the_day_is_today(copy: Path) -> None:
    days = [datetime.now(UTC).date()]
    assert script(copy, "bump.py", "1.2.0", TZ="Pacific/Kiritimati").returncode == 0
    days.append(datetime.now(UTC).date())
    assert any(f"## 1.2.0 ({day})\n" in (copy / "CHANGELOG.md").read_text() for day in days)


def test_what_was_out_of_step_is_in_step_again(copy: Path) -> None:
    edited(copy / "app" / "setup.cfg", lambda text: text.replace("version = 1.2.0", "version = 1.0.0"))
    edited(
        copy / "plugins" / "pegboard-files" / "setup.cfg",
        lambda text: text.replace("pegboard[parquet]==1.2.0", "pegboard[parquet] >=1.0, <2; python_version > '3'"),
    )
    assert script(copy, "check.py").returncode == 1
    assert script(copy, "bump.py", "1.2.0").returncode == 0
    assert script(copy, "check.py", "--tag", "v1.2.0").returncode == 0
    assert "pegboard[parquet]==1.2.0; python_version > '3'\n" in (copy / "plugins/pegboard-files/setup.cfg").read_text()


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("v1.2.0", "write 1.2.0"),
        ("1.2.0+local", "write 1.2.0"),
        ("1.2.0-rc1", "write 1.2.0rc1"),
        ("next", "PEP 440"),
        ("1.1.0", "1.1.0 is of 2026-01-31"),
        ("1.1.0rc1", "cannot come after it"),
    ],
)
def test_a_version_that_cannot_be_given_is_refused(version: str, why: str, copy: Path) -> None:
    unchanged(copy, why, version)


def test_a_day_that_is_none_is_refused(copy: Path) -> None:
    unchanged(copy, "2026-02-30", "1.2.0", "--date", "2026-02-30")


def test_a_version_needs_something_new(dated: Path) -> None:
    unchanged(dated, "write down what has changed", "1.3.0")


def test_a_version_needs_something_said(copy: Path) -> None:
    edited(copy / "CHANGELOG.md", lambda text: text.replace("- A board.\n", ""))
    unchanged(copy, "write down what has changed", "1.2.0")


def test_nothing_is_half_written(copy: Path) -> None:
    (copy / "plugins" / "pegboard-xgboost" / "setup.cfg.new").mkdir()
    unchanged(copy, "setup.cfg.new", "1.3.0")


def unchanged(repository: Path, why: str, *words: str) -> None:
    before = contents(repository)
    done = script(repository, "bump.py", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert "nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(repository) == before
