"""Distributions written from the documentation alone, really installed, compete; uninstalled, they are gone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: What the page says after the walk for newcomers, which `fifteen_minutes.py` follows.
GUIDE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8").partition("## A model and a scorer, by hand")[2]
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[str], Any]) -> Any:
    made = new_environment("newcomer")
    files = FILE.findall(GUIDE)
    shutil.copy(ROOT / "pegboard.toml", made.directory)  # where a newcomer stands: in the clone
    assert {name.split("/")[0] for name, _ in files} == {"pegboard-robust", "pegboard-wine"}
    for name, content in files:
        path = made.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return made


def test_an_installed_model_and_scorer_compete_and_an_uninstalled_one_is_gone(environment: Any) -> None:
    train = ("pegboard", "train", "--source", "house-prices", "--folds", "2", "--json")
    environment.install("pegboard-robust")
    try:
        assert "huber" in environment.names("model")
        assert "huber" in environment.names("kernel")
        during = json.loads(environment.run(*train))
        by_their_scorer = json.loads(environment.run(*train, "--scorer", "median-error"))
    finally:
        environment.uninstall("pegboard-robust")
    assert by_their_scorer["leaderboard"]["scorer"] == "median-error"
    assert "huber" not in environment.names("model")
    after = json.loads(environment.run(*train))
    with_it, without = ({c["name"]: c for c in run["leaderboard"]["candidates"]} for run in (during, after))
    assert set(with_it) - set(without) == {"huber"}
    assert with_it["huber"]["error"] is None
    assert {name: with_it[name]["scores"] for name in without} == {name: c["scores"] for name, c in without.items()}


@pytest.fixture
def wine_server(environment: Any) -> Iterator[str]:
    environment.install("pegboard-wine")
    environment.run("pegboard", "data", "validate", "--source", "wine")
    environment.run("pegboard", "train", "--source", "wine")
    command = [environment.python, "-m", "pegboard", "serve", "wine", "--port", "0"]
    server = subprocess.Popen(command, cwd=environment.directory, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        yield re.findall(r"http://\S+", line)[0]
    finally:
        server.terminate()
        server.wait(30)
        environment.uninstall("pegboard-wine")


def test_a_classification_is_trained_published_and_served_with_probabilities(
    environment: Any, wine_server: str
) -> None:
    from sklearn.datasets import load_wine

    wine = load_wine(as_frame=True)
    request = urllib.request.Request(
        f"{wine_server}/predict", wine.data.to_json(orient="records").encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    truth = wine.target_names[wine.target]
    assert sum(p == t for p, t in zip(answer["predictions"], truth, strict=True)) >= 0.95 * len(truth)
    for label, probabilities in zip(answer["predictions"], answer["probabilities"], strict=True):
        assert set(probabilities) == {"class_0", "class_1", "class_2"}
        assert sum(probabilities.values()) == pytest.approx(1)
        assert max(probabilities, key=probabilities.__getitem__) == label
    assert (answer["model"], answer["version"]) == ("wine", 1)


def test_this_test_runs_what_the_guide_says() -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    lines = [line for block in commands for line in block.splitlines()]
    assert lines == [
        "pip install ./pegboard-robust",
        "pegboard plugins list",
        "pegboard train",
        "pip install ./pegboard-wine",
        "pegboard data validate --source wine",
        "pegboard train --source wine",
        "pegboard serve wine",
    ]
