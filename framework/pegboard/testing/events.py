"""What observers are told, from a small training run that has really happened and a promotion after it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pegboard import ModelSpec, SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import PluginError
from pegboard.manager import Manager, Plugin
from pegboard.registry import Registry
from pegboard.testing.kit import Kit
from pegboard.testing.tables import TARGET, plain
from pegboard.training import pipeline

SCORER = "r2"


class _Listening(Manager):
    """A manager that keeps what it is to tell, and tells nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Mapping[str, Any]] = {}

    def notify(self, event: str, **payload: Any) -> bool:
        """Keep what an event comes with."""
        self.told[event] = payload
        return True


def payload(event: str, kit: Kit) -> Mapping[str, Any]:
    """Return what observers of an event are told."""
    told = kit.keep("events", lambda: _happened(kit))
    if event not in told:
        raise PluginError(f"nothing is known of the event {event!r}")
    return told[event]


def _happened(kit: Kit) -> Mapping[str, Mapping[str, Any]]:
    manager, location = _Listening(), str(kit.directory() / "registry")
    manager.add(_plugin(), Plugin("conformance", "", ""))
    experiment = Experiment(
        name="conformance", source="table", scorer=SCORER, folds=2, registry=location, isolation="thread"
    )
    version = pipeline.run(experiment, manager, Catalog(manager)).version
    registry = Registry(location)
    manager.notify("after_promote", entry=registry.promote(str(version), "staging"), registry=registry)
    return manager.told


def _plugin() -> SimpleNamespace:
    def sources() -> list[SourceSpec]:
        return [SourceSpec(name="table", task="regression", target=TARGET, load=lambda: plain("regression"))]

    def models() -> list[ModelSpec]:
        return [ModelSpec(name="linear", task="regression", make=_linear)]

    hooks = {"register_sources": sources, "register_models": models}
    return SimpleNamespace(**{name: hookimpl(specname=name)(hook) for name, hook in hooks.items()})


def _linear() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()
