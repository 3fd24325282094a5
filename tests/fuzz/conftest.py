"""Two experiments, trained once, and servers of them as `pegboard serve` runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

Serving = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, train_into: Callable[..., None]) -> Path:
    location = tmp_path_factory.mktemp("fuzzed") / "registry"
    train_into(location, {"house-prices": ["linear-regression"], "iris": ["logistic-regression"]})
    return location


@pytest.fixture
def serve(registry: Path, tmp_path: Path, serving: Serving) -> Iterator[Callable[..., str]]:
    """Start a server of a model with these options; return where it is."""
    with ExitStack() as running:
        yield lambda *arguments: running.enter_context(serving(registry, tmp_path, *arguments))
