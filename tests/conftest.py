"""What every test may ask for: the board with the real plugins, and ways to make small experiments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_iris

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Manager, Plugin, load_plugins

# Machines are noisy, and a first example imports scikit-learn: time is not what these tests are about.
# CI tries the same examples each time; new ones are found where somebody is at hand to look at them.
settings.register_profile(
    "pegboard", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("pegboard")


@pytest.fixture(scope="session")
def manager() -> Manager:
    return load_plugins(environ={})


@pytest.fixture(scope="session")
def catalog(manager: Manager) -> Catalog:
    return Catalog(manager)


@pytest.fixture
def board_with() -> Callable[..., tuple[Manager, Catalog]]:
    """Build a fresh board: the installed plugins, and a plugin whose hooks return what is given here."""

    def build(name: str = "extra", **registered: Any) -> tuple[Manager, Catalog]:
        manager = load_plugins(environ={})
        manager.add(plugin_module(**registered), Plugin(name, f"pegboard-{name}", "1.0"))
        return manager, Catalog(manager)

    return build


@pytest.fixture
def frame_source() -> Callable[..., SourceSpec]:
    """Make a source of a table that is at hand."""

    def make(frame: pd.DataFrame, target: str, task: str = "regression", **more: Any) -> SourceSpec:
        return SourceSpec(name="table", task=task, target=target, load=lambda: frame, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def train_into() -> Callable[..., None]:
    """Train experiments with the models given for each source, iris among them; they are named as their sources are."""

    def train(location: Path, chosen: Mapping[str, Sequence[str]], *sources: SourceSpec, name: str = "") -> None:
        from pegboard.training import pipeline

        iris = SourceSpec(name="iris", task="classification", target="species", load=load_flowers)
        manager = load_plugins(environ={})
        manager.add(plugin_module(register_sources=[iris, *sources]), Plugin("sources", "sources", "1"))
        for source, models in chosen.items():
            experiment = Experiment(name=name or source, source=source, models=tuple(models), registry=str(location))
            pipeline.run(experiment, manager, Catalog(manager))

    return train


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[str]]:
    """Run ``pegboard serve`` with these arguments, and give its address."""
    return _serving


@contextmanager
def _serving(registry: Path, directory: Path, *arguments: str) -> Iterator[str]:
    pegboard = str(Path(sys.executable).with_name("pegboard"))
    command = [pegboard, "serve", "--registry", str(registry), "--port", "0", "--no-access-log", *arguments]
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


def plugin_module(**hooks: Any) -> SimpleNamespace:
    """Return a module-like plugin; a hook given as a list returns it, one given as a function is it."""
    return SimpleNamespace(**{hook: hookimpl(specname=hook)(_function(given)) for hook, given in hooks.items()})


def _function(given: Any) -> Callable[..., Any]:
    return given if callable(given) else lambda: given
