"""Plugins load one by one; what is wrong with one is said by its name and leaves the others alone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import Distribution, EntryPoint
from types import ModuleType
from typing import Any

import pytest

from pegboard import CriterionSpec, ModelSpec, ScorerSpec, SourceSpec, hookimpl, hookspecs
from pegboard.catalog import SPECS, Catalog
from pegboard.errors import PluginError
from pegboard.manager import Manager, Plugin, load_plugins


class Installed(Distribution):
    """A distribution as importlib.metadata sees one."""

    def __init__(self, name: str, version: str = "1.0") -> None:
        self._metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return path


def entry_point(name: str, module: str, distribution: str) -> EntryPoint:
    return EntryPoint(name, module, "pegboard")._for(Installed(distribution))  # type: ignore[attr-defined]


def model(name: str, **more: Any) -> ModelSpec:
    return ModelSpec(name=name, task="regression", make=dict, **more)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EntryPoint]:
    """Install a module with these hooks under a name, as a distribution ``d-NAME``."""

    def install(name: str, distribution: str | None = None, **hooks: Any) -> EntryPoint:
        distribution = distribution or f"d-{name}"
        module = ModuleType(f"installed_{distribution}".replace("-", "_"))
        for hook, function in hooks.items():
            setattr(module, hook, function if hook.startswith("_") else hookimpl(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return entry_point(name, module.__name__, distribution)

    return install


def load(*entry_points: EntryPoint, environ: Mapping[str, str] | None = None) -> tuple[Manager, Catalog, list[str]]:
    manager = load_plugins(entry_points, environ or {})
    catalog = Catalog(manager)
    return manager, catalog, [str(problem) for problem in catalog.problems]


def names(manager: Manager) -> list[str]:
    return [plugin.name for plugin in manager.plugins]


def test_the_built_ins_come_through_the_same_door() -> None:
    manager, catalog, problems = load()
    assert names(manager) == ["built-in"]
    assert {e.spec.name for e in catalog.entries()} >= {"tabular", "k-fold", "best-mean", "dummy-regressor", "train"}
    assert problems == []


def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_load(install: Callable[..., EntryPoint]) -> None:
    good = install("good", register_models=lambda: [model("mine")])
    manager, catalog, problems = load(entry_point("bad", "no_such_module_here", "d-bad"), good)
    assert names(manager) == ["built-in", "good"]
    assert catalog.get(ModelSpec, "mine").name == "mine"
    assert problems == [
        "plugin bad (d-bad 1.0): is not loaded: ModuleNotFoundError: No module named 'no_such_module_here'"
    ]


@pytest.mark.parametrize("error", [SystemExit(3), ZeroDivisionError("division"), RecursionError("deep")])
def test_whatever_an_import_raises_is_that_plugins_problem(
    error: BaseException, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raises_at_import.py").write_text(f"raise {type(error).__name__}({error.args[0]!r})")
    monkeypatch.syspath_prepend(tmp_path)
    _, _, problems = load(entry_point("bad", "raises_at_import", "d-bad"))
    assert problems == [f"plugin bad (d-bad 1.0): is not loaded: {type(error).__name__}: {error}"]


def test_a_misspelt_hook_is_an_error_with_a_suggestion(install: Callable[..., EntryPoint]) -> None:
    manager, _, problems = load(install("typo", register_modles=lambda: [model("mine")]), install("good"))
    assert names(manager) == ["built-in", "good"]
    assert len(problems) == 1
    assert "unknown hook 'register_modles'" in problems[0]
    assert "did you mean 'register_models'?" in problems[0]


def test_an_argument_that_a_hook_does_not_have_is_an_error(install: Callable[..., EntryPoint]) -> None:
    _, _, problems = load(install("typo", after_load=lambda frme: None))
    assert "plugin typo (d-typo 1.0): is not loaded" in problems[0]
    assert "frme" in problems[0]


def test_wrappers_are_refused(install: Callable[..., EntryPoint]) -> None:
    def register_models() -> Any:
        yield

    manager, _, problems = load(install("wraps", _placeholder=None), install("good"))
    assert problems == []
    module = ModuleType("wrapping")
    module.register_models = hookimpl(wrapper=True)(register_models)  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="register_models is a wrapper"):
        manager.add(module, Plugin("wrapping", "d", "1"))
    assert "wrapping" not in names(manager)


def test_two_distributions_that_claim_one_plugin_name_are_both_refused(install: Callable[..., EntryPoint]) -> None:
    claims = install("same", "d-one"), install("same", "d-two")
    manager, _, problems = load(*claims)
    assert names(manager) == ["built-in"]
    assert problems == [
        "plugin same: is not loaded: same (d-one 1.0) and same (d-two 1.0) claim one name; uninstall one"
    ]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-lead", "dotted.name", ""])
def test_plugin_names_follow_the_rule(name: str, install: Callable[..., EntryPoint]) -> None:
    _, _, problems = load(install(name, "d-odd"))
    assert "use lower-case letters, digits and hyphens" in problems[0]


@pytest.mark.parametrize("name", ["../x", "a b", "É", "", None, "x\n"])
def test_names_of_things_follow_the_rule(name: Any) -> None:
    with pytest.raises(PluginError, match="use lower-case letters, digits and hyphens"):
        model(name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": {"a": "float"}}, "'a' has kind 'float', not one of number, integer, boolean, category"),
        ({"features": {"a": "number", "y": "number"}}, "'y' cannot be a feature and a key or the target"),
        ({"features": {"id": "number"}, "keys": ("id",)}, "'id' cannot be a feature and a key or the target"),
        ({"keys": "id"}, "keys is 'id': write a tuple of columns"),
        ({"task": "ranking"}, "task 'ranking' is not one of regression, classification"),
    ],
)
def test_a_source_that_cannot_be_right_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=f"source 's'.*{message}"):
        SourceSpec(**{"name": "s", "task": "regression", "target": "y", "load": dict, **wrong})


@pytest.mark.parametrize(("chosen", "loaded"), [("a", ["a"]), ("b, a", ["a", "b"]), ("", []), (",", [])])
def test_the_environment_restricts_what_is_loaded(
    chosen: str, loaded: list[str], install: Callable[..., EntryPoint]
) -> None:
    manager, _, _ = load(install("a"), install("b"), environ={"PEGBOARD_LOAD_PLUGINS": chosen})
    assert names(manager) == ["built-in", *loaded]


def test_restricting_to_what_is_not_installed_is_an_error(install: Callable[..., EntryPoint]) -> None:
    with pytest.raises(
        PluginError, match="PEGBOARD_LOAD_PLUGINS names 'sklern', which is not installed; did you mean 'sklearn'"
    ):
        load(install("sklearn"), environ={"PEGBOARD_LOAD_PLUGINS": "sklern"})


def test_a_registration_that_raises_costs_that_plugin_that_hook_alone(install: Callable[..., EntryPoint]) -> None:
    def register_models() -> Any:
        yield model("first")
        raise ValueError("boom")

    scorer = ScorerSpec(name="score", tasks=("regression",), make=lambda: lambda *_: 0.0)
    bad = install("bad", register_models=register_models, register_scorers=lambda: [scorer])
    _, catalog, problems = load(bad, install("good", register_models=lambda: [model("mine")]))
    assert problems == ["plugin bad (d-bad 1.0): register_models failed: ValueError: boom"]
    assert catalog.find(ModelSpec, "first") is None
    assert catalog.get(ModelSpec, "mine")
    assert catalog.get(ScorerSpec, "score")


@pytest.mark.parametrize("given", [["a name"], [model("m"), 3], model("alone"), 7])
def test_a_registration_of_something_else_is_named(given: Any, install: Callable[..., EntryPoint]) -> None:
    _, _, problems = load(install("odd", register_models=lambda: given))
    assert len(problems) == 1
    assert problems[0].startswith("plugin odd (d-odd 1.0): register_models ")


def test_a_contested_name_belongs_to_neither_and_names_both(install: Callable[..., EntryPoint]) -> None:
    one = install("one", register_models=lambda: [model("twin"), model("only")])
    two = install("two", register_models=lambda: [model("twin")])
    _, catalog, problems = load(one, two)
    assert problems == ["plugin one (d-one 1.0) and two (d-two 1.0): claim one name: model 'twin' belongs to neither"]
    assert catalog.get(ModelSpec, "only")
    for ask in (lambda: catalog.get(ModelSpec, "twin"), lambda: catalog.models("regression")):
        with pytest.raises(
            PluginError, match=r"'twin' is registered by one \(d-one 1.0\) and two \(d-two 1.0\): uninstall"
        ):
            ask()


def test_a_name_may_be_used_once_in_each_kind(install: Callable[..., EntryPoint]) -> None:
    criterion = CriterionSpec(name="same", choose=lambda board: [])
    both = install("both", register_models=lambda: [model("same")], register_criteria=lambda: [criterion])
    _, catalog, problems = load(both)
    assert problems == []
    assert catalog.get(ModelSpec, "same").kind != catalog.get(CriterionSpec, "same").kind


def test_an_unknown_name_suggests_the_near_one_or_lists_all(install: Callable[..., EntryPoint]) -> None:
    _, catalog, _ = load(install("a", register_models=lambda: [model("ridge")]))
    with pytest.raises(PluginError, match="no model named 'rigde'; did you mean 'ridge'"):
        catalog.get(ModelSpec, "rigde")
    with pytest.raises(PluginError, match="no criterion named 'zzz'; known: best-mean, one-standard-error"):
        catalog.get(CriterionSpec, "zzz")


def test_an_observer_that_raises_is_logged_by_name_and_the_others_are_told(
    install: Callable[..., EntryPoint], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fails(experiment: str) -> None:
        raise OSError("tracker is away")

    def listens(experiment: str, frame: Any) -> None:
        told.append(f"{experiment} {frame}")

    manager, _, problems = load(install("a", after_load=fails), install("b", after_load=listens))
    with caplog.at_level(logging.WARNING, logger="pegboard"):
        manager.notify("after_load", experiment="e", frame="table")
    assert told == ["e table"]
    assert problems == []
    assert caplog.messages == ["plugin a (d-a 1.0) failed in after_load: OSError: tracker is away"]


def test_the_order_of_calls_does_not_depend_on_the_order_of_installation(install: Callable[..., EntryPoint]) -> None:
    told: list[str] = []
    points = [install(n, after_load=lambda experiment, n=n: told.append(n)) for n in ("c", "a", "b")]
    load(*points)[0].notify("after_load", experiment="e", frame=None)
    assert told == ["a", "b", "c"]


def test_every_registration_hook_has_a_spec_and_every_spec_a_hook() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert hooks == {spec.hook for spec in SPECS}
