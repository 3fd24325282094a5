"""Two experiments, trained once, and servers of them as `pegboard serve` runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.manager import Plugin, load_plugins
from pegboard.training import pipeline

PEGBOARD = str(Path(sys.executable).with_name("pegboard"))


class Flowers:
    @hookimpl
    def register_sources(self) -> list[SourceSpec]:
        return [SourceSpec(name="iris", task="classification", target="species", load=load_flowers)]


def load_flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    return iris.data.assign(species=iris.target_names[iris.target])


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("fuzzed") / "registry"
    manager = load_plugins(environ={})
    manager.add(Flowers(), Plugin("flowers", "flowers", "1"))
    for source, model in (("house-prices", "linear-regression"), ("iris", "logistic-regression")):
        experiment = Experiment(name=source, source=source, models=(model,), registry=str(location))
        pipeline.run(experiment, manager, Catalog(manager))
    return location


@pytest.fixture
def serve(registry: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start a server of a model with these options; return where it is."""
    with ExitStack() as running:
        yield lambda *arguments: running.enter_context(serving(registry, tmp_path, *arguments))


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
