"""Served experiments, and a headless Chromium to look at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pegboard import SourceSpec

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
Serving = Callable[..., AbstractContextManager[str]]

MARKUP = "</script><script>document.title = 'owned'</script>"


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


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, train_into: Callable[..., None]) -> Path:
    location = tmp_path_factory.mktemp("shown") / "registry"
    classifiers = ("logistic-regression", "dummy-classifier")
    regressors = ("linear-regression", "svr", "random-forest-regressor", "dummy-regressor")
    odd = SourceSpec(name="odd", task="classification", target="label", load=load_odd)
    train_into(location, {"house-prices": regressors, "iris": classifiers, "odd": classifiers}, odd)
    train_into(location, {"iris": classifiers}, name="changing")
    return location


@pytest.fixture(scope="session")
def houses(registry: Path, tmp_path_factory: pytest.TempPathFactory, serving: Serving) -> Iterator[str]:
    """The address of a server of house prices."""
    with serving(registry, tmp_path_factory.mktemp("houses"), "house-prices") as url:
        yield url


@pytest.fixture
def serve(registry: Path, tmp_path: Path, serving: Serving) -> Callable[..., object]:
    """Start a server of a model with these options."""
    return lambda *arguments: serving(registry, tmp_path, *arguments)


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
