"""What every test may ask for: the board with the real plugins, and ways to make small experiments."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from pegboard import SourceSpec, hookimpl
from pegboard.catalog import Catalog
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


def plugin_module(**hooks: Any) -> SimpleNamespace:
    """Return a module-like plugin; a hook given as a list returns it, one given as a function is it."""
    return SimpleNamespace(**{hook: hookimpl(specname=hook)(_function(given)) for hook, given in hooks.items()})


def _function(given: Any) -> Callable[..., Any]:
    return given if callable(given) else lambda: given
