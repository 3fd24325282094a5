"""Served experiments, and a headless Chromium to look at them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from sklearn.datasets import load_iris

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Plugin, load_plugins
from pegboard.training import pipeline

PEGBOARD = str(Path(sys.executable).with_name("pegboard"))
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
)
MARKUP = "</script><script>document.title = 'owned'</script>"


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


def load_odd() -> pd.DataFrame:
    """Names and categories that HTML and JavaScript might trip over, nulls, booleans, classes that are booleans."""
    rng = np.random.default_rng(0)
    rows = 120
    kinds = rng.choice([MARKUP, 'a "b" & c', "two\r\nlines", "", "  "], rows)
    kinds[0] = "two\r\nlines"  # the form holds the first row
    return pd.DataFrame(
        {
            "<b>kind</b>": kinds,
            "__proto__": rng.normal(size=rows),
            "perhaps": np.where(rng.random(rows) < 0.3, None, rng.choice(["x", "y"], rows)),
            "flag": rng.random(rows) < 0.5,
            "label": np.arange(rows) % 2 == 0,
        }
    )


class Sources:
    @hookimpl
    def register_sources(self) -> list[SourceSpec]:
        return [
            SourceSpec(name="iris", task="classification", target="species", load=load_flowers),
            SourceSpec(name="odd", task="classification", target="label", load=load_odd),
        ]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("shown") / "registry"
    manager = load_plugins(environ={})
    manager.add(Sources(), Plugin("sources", "sources", "1"))
    classifiers = ("logistic-regression", "dummy-classifier")
    regressors = ("linear-regression", "svr", "random-forest-regressor", "dummy-regressor")
    chosen = {"house-prices": regressors, "iris": classifiers, "odd": classifiers, "changing": classifiers}
    for name, models in chosen.items():
        source = "iris" if name == "changing" else name
        experiment = Experiment(name=name, source=source, models=models, registry=str(location))
        pipeline.run(experiment, manager, Catalog(manager))
    return location


@pytest.fixture(scope="session")
def houses(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of house prices."""
    with serving(registry, tmp_path_factory.mktemp("houses"), "house-prices") as url:
        yield url


@pytest.fixture
def serve(registry: Path, tmp_path: Path) -> Callable[..., object]:
    """Start a server of a model with these options."""
    return lambda *arguments: serving(registry, tmp_path, *arguments)


@contextmanager
def serving(registry: Path, directory: Path, *arguments: str) -> Iterator[str]:
    command = [PEGBOARD, "serve", "--registry", str(registry), "--port", "0", "--no-access-log", *arguments]
    with (
        (directory / "errors").open("w") as errors,
        subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"on (http://\S+)", said)
            assert found, f"{said!r}: {(directory / 'errors').read_text()}"
            yield found[1]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        reason = "needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    yield running
    running.quit()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: SCREENSHOTS, which CI keeps, or a temporary directory."""
    given = os.environ.get("SCREENSHOTS")
    directory = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    return directory
