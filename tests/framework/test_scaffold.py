"""A new plugin is whole, tidy, and never written over anything."""

from __future__ import annotations

import ast
import configparser
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.errors import ConfigError, PegboardError, PluginError
from pegboard.scaffold.house import KINDS, build, render
from pegboard.scaffold.names import LONGEST, Names

#: As long as it may be, so that no line of a template grows too long.
LONG = "pegboard-" + "x" * (LONGEST - len("pegboard-"))


@pytest.mark.parametrize("name", ["acme-tides", LONG])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_what_is_said_and_every_file_reads(tmp_path: Path, kind: str, name: str) -> None:
    house = build(name, kind, tmp_path)
    assert house.directory == tmp_path / name
    found = {str(path.relative_to(house.directory)) for path in house.directory.rglob("*") if path.is_file()}
    assert found == set(house.files)
    for path in house.directory.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    config = configparser.ConfigParser()
    config.read(house.directory / "setup.cfg")
    assert config["metadata"]["name"] == name
    assert name.removeprefix("pegboard-") in config["options.entry_points"]["pegboard"]
    tomllib.loads((house.directory / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_written_as_a_linter_wants_it(tmp_path: Path, kind: str) -> None:
    directory = build(LONG, kind, tmp_path).directory
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    assert ruff is not None
    for command in (["check"], ["format", "--check"]):
        # Where its author and its own workflow stand, so that `src` is found.
        done = subprocess.run([ruff, *command], cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["json", "numpy", "class", "acme_tides", "1st", "-a", "a-", "a--b", "../a", "", "sklearn"]
)
def test_a_name_that_cannot_be_had_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError):
        build(name, "model", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "acme-tides").mkdir()
    (tmp_path / "acme-tides" / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="is there already, and nothing was written"):
        build("acme-tides", "model", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["acme-tides", "notes"]


@given(name=st.text(st.sampled_from("abz019-_./ A\u00e9\n"), max_size=LONGEST + 2))
def test_any_name_is_refused_or_makes_sound_files(name: str) -> None:
    try:
        names = Names.of(name)
    except PegboardError:
        return
    assert names.module.isidentifier()
    for path, content in render(names, "model").items():
        assert ".." not in path
        if path.endswith(".py"):
            ast.parse(content)
