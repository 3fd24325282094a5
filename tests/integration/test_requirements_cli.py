"""What a version needs, as a user meets it: a lock that installs into an empty environment, and refusals that help."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pegboard import bundle as bundles
from pegboard.registry import Registry, Version

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "framework/pegboard")
UV = [sys.executable, "-m", "uv"]
NEEDED = f"needs scikit-learn 0.24.2, and {version('scikit-learn')} is installed: pip install scikit-learn==0.24.2"

Command = Callable[..., subprocess.CompletedProcess[str]]
Serving = Callable[..., AbstractContextManager[str]]


def of_another_scikit_learn(directory: Path) -> Version:
    """Publish the latest version again, as if it had been trained with another scikit-learn."""
    registry = Registry(directory / "registry")
    bundle = registry.open(registry.resolve("house-prices"))
    manifest: Any = json.loads(bundle.manifest_bytes())
    for requirement in manifest["requirements"]["direct"]:
        if requirement["name"] == "scikit-learn":
            requirement["version"] = "0.24.2"
    files = {file: bundle.read(file) for file in manifest["files"]}
    bundles.write(directory / "other", manifest, files)
    return registry.publish(directory / "other")


def stored_rows(directory: Path) -> list[dict[str, Any]]:
    registry = Registry(directory / "registry")
    rows: list[dict[str, Any]] = registry.open(registry.resolve("house-prices/1")).replay()["rows"]
    return rows


def write_rows(directory: Path) -> None:
    rows = stored_rows(directory)
    with (directory / "in.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run(directory: Path, *command: str | Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PEGBOARD_", "PYTHONPATH"))}
    done = subprocess.run(
        list(map(str, command)), cwd=directory, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def predictions(url: str, rows: list[dict[str, Any]]) -> Any:
    request = urllib.request.Request(f"{url}/predict", json.dumps(rows).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.slow
def test_the_lock_installs_into_an_empty_environment_and_the_version_answers_there_as_here(
    trained: Command, tmp_path: Path
) -> None:
    """The wheel is built as it would be for an index; nothing else of this environment is there."""
    write_rows(tmp_path)
    trained("predict", "in.csv", "here.csv", "--model", "house-prices/1")
    source, wheels = tmp_path / "source", tmp_path / "the wheels"
    for part in SOURCES:
        (source / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    run(tmp_path, *UV, "build", "--quiet", "--wheel", "--out-dir", wheels, source)
    lock = trained("models", "requirements", "house-prices", "--find-links", str(wheels)).stdout
    (tmp_path / "lock.txt").write_text(lock)

    python = tmp_path / "venv" / "bin" / "python"
    run(tmp_path, *UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    run(tmp_path, *UV, "pip", "install", "--quiet", "--python", python, "-r", "lock.txt")
    run(tmp_path, python, "-m", "pegboard", "predict", "in.csv", "there.csv", "--model", "house-prices/1")

    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert len((tmp_path / "there.csv").read_text().splitlines()) == 1 + len(stored_rows(tmp_path))
    there = json.loads(run(tmp_path, *UV, "pip", "list", "--quiet", "--python", python, "--format", "json"))
    locked = dict(line.split("  # ")[0].split("==") for line in lock.splitlines() if "==" in line)
    assert locked == {package["name"]: package["version"] for package in there}


def test_the_lock_says_which_version_it_is_of_and_is_what_json_says(trained: Command) -> None:
    lines = trained("models", "requirements", "house-prices", "--find-links", "a b", "--find-links", "c").stdout
    said = json.loads(trained("models", "requirements", "house-prices", "--find-links", "a b", "--json").stdout)

    written = lines.splitlines()
    assert written[0] == f"# house-prices/1, sha256:{said['digest']}"
    assert written[1] == f"# trained with Python {said['python']}"
    assert [line for line in written if line.startswith("--")] == ["--find-links 'a b'", "--find-links c"]
    pins = [line.split("  # ")[0] for line in written if not line.startswith(("#", "--"))]
    assert pins == sorted(f"{name}=={number}" for name, number in said["lock"].items())
    assert said["find_links"] == ["a b"]
    direct = {requirement["name"]: requirement["version"] for requirement in said["direct"]}
    assert direct["scikit-learn"] == version("scikit-learn")
    assert direct.items() <= said["lock"].items()
    assert said["lock"]["pegboard"] == version("pegboard")


def test_a_version_that_lacks_something_is_refused_wherever_it_would_be_unpickled(
    trained: Command, tmp_path: Path
) -> None:
    write_rows(tmp_path)
    other = of_another_scikit_learn(tmp_path)

    assert NEEDED in trained("serve", str(other), "--port", "0", status=1).stderr
    assert NEEDED in trained("predict", "in.csv", "out.csv", "--model", str(other), status=1).stderr
    assert not (tmp_path / "out.csv").exists()
    assert NEEDED in trained("plugins", "doctor", "--model", str(other), status=1).stdout
    assert "scikit-learn==" in trained("models", "requirements", str(other)).stdout  # the way out stays open
    trained("predict", "in.csv", "out.csv", "--model", "house-prices/1")


def test_a_server_that_is_to_swap_to_such_a_version_keeps_the_old_one_and_says_why(
    trained: Command, tmp_path: Path, serving: Serving
) -> None:
    registry, rows = Registry(tmp_path / "registry"), stored_rows(tmp_path)
    registry.promote("house-prices/1", "live")
    with serving(tmp_path / "registry", tmp_path, "--poll", "0.1", "house-prices@live") as url:
        before = predictions(url, rows)
        registry.promote(str(of_another_scikit_learn(tmp_path)), "live")
        log = tmp_path / "errors"
        while "house-prices/1 keeps serving: house-prices/2 cannot:" not in log.read_text():
            assert predictions(url, rows) == before
        assert NEEDED in log.read_text()
        assert predictions(url, rows) == before
        with urllib.request.urlopen(f"{url}/ready", timeout=60) as response:
            failed = json.load(response)["failed_reload"]
    assert failed["version"] == "house-prices/2"
    assert NEEDED in failed["reason"]
