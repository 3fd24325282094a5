"""Names that are not the registry's own belong to the resolver whose prefix they begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pegboard import ResolverSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.manager import Manager, Plugin


def resolver(name: str, prefix: str) -> ResolverSpec:
    return ResolverSpec(name=name, prefix=prefix, make=lambda _registry, _trusted: None)


def test_a_name_is_resolved_by_the_plugin_that_knows_how_it_begins(
    board_with: Callable[..., tuple[Manager, Catalog]],
) -> None:
    _, catalog = board_with(register_resolvers=[resolver("here", "here:/"), resolver("there", "there:/")])

    found = {name: catalog.resolver(name) for name in ("there:/house@production", "house@production", "house/7")}

    assert {name: spec and spec.name for name, spec in found.items()} == {
        "there:/house@production": "there",
        "house@production": None,
        "house/7": None,
    }


def test_a_resolver_that_two_plugins_claim_resolves_nothing(
    board_with: Callable[..., tuple[Manager, Catalog]],
) -> None:
    manager, _ = board_with(register_resolvers=[resolver("here", "here:/")])
    module: Any = type("Other", (), {})()
    module.register_resolvers = hookimpl(lambda: [resolver("here", "here:/")])
    manager.add(module, Plugin("other", "pegboard-other", "1.0"))
    catalog = Catalog(manager)

    assert catalog.resolver("here:/house") is None
    assert any("resolver 'here' belongs to neither" in str(problem) for problem in catalog.problems)
