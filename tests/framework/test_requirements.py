"""What a bundle needs to predict: found in the pickle, kept in the manifest, checked before anything is unpickled."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pegboard import requirements, unpickling
from pegboard.bundle import open_bundle
from pegboard.catalog import Entry
from pegboard.config import Experiment
from pegboard.errors import BundleError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.learning import learn_signature
from pegboard.manager import Plugin
from pegboard.provenance import library_version
from pegboard.registry import Registry
from pegboard.report import ValidationReport
from pegboard.requirements import MOST_CAUSES, Requirement, Requirements
from pegboard.specs import KernelSpec, SourceSpec
from pegboard.training.publish import Trained, publish
from pegboard.training.values import Table, Winner

ROWS = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0], [4.0, 0.5]])
FITTED = make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, ROWS @ [2.0, 3.0])
LIBRARY = "class Thing:\n    pass\n\n\nclass Other:\n    pass\n"
MODELS = "from thing_lib import Thing\n\n\nclass Mine(Thing):\n    pass\n\n\ndef double(x):\n    return x * 2\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two plugins as pip lays them out, both of which require one library: ``thing-lib``; gives their modules."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    lay_out(site, "thing-lib", "2.0", "thing_lib", LIBRARY)
    lay_out(site, "a-plugin", "0.1", "a_plugin", "", requires="thing-lib", plugin=True)
    lay_out(site, "b-plugin", "0.2", "b_plugin", MODELS, requires="thing-lib", plugin=True)
    importlib.invalidate_caches()
    names = ("thing_lib", "a_plugin", "b_plugin")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        del sys.modules[name]


def lay_out(
    site: Path, name: str, number: str, package: str, code: str, requires: str = "", plugin: bool = False
) -> None:
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text(code)
    information = site / f"{package}-{number}.dist-info"
    information.mkdir()
    line = f"Requires-Dist: {requires}\n" if requires else ""
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{line}")
    (information / "RECORD").write_text(f"{package}/__init__.py,,\n")
    if plugin:
        (information / "entry_points.txt").write_text(f"[pegboard]\n{name} = {package}\n")


def needed(thing: Any, kernel: tuple[str, str] | None = None) -> Requirements:
    file = io.BytesIO()
    joblib.dump(thing, file)
    return requirements.find(unpickling.asked(file.getvalue(), "here"), kernel)


def by_name(found: Requirements) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {r.name: (r.kind, r.causes) for r in found.direct}


def test_a_pipeline_needs_the_distributions_of_its_classes_in_the_versions_that_are_installed() -> None:
    found = needed(FITTED)

    assert {r.name: r.version for r in found.direct} == {
        name: library_version(name) for name in ("joblib", "numpy", "scikit-learn")
    }
    assert {kind for kind, _ in by_name(found).values()} == {"classes"}
    assert by_name(found)["scikit-learn"][1] == (
        "sklearn.linear_model._base:LinearRegression",
        "sklearn.pipeline:Pipeline",
        "sklearn.preprocessing._data:StandardScaler",
    )
    assert {r.name: r.version for r in found.direct}.items() <= found.lock.items()
    assert {"pegboard", "scipy", "threadpoolctl"} < set(found.lock)
    assert found.unowned == ()


def test_what_comes_with_python_needs_nothing_and_pegboard_is_in_every_lock() -> None:
    found = needed([1, {"a": complex(1, 2)}, range(3)])

    assert found.direct == ()
    assert found.lock["pegboard"] == library_version("pegboard")


def test_an_array_of_objects_is_asked_as_well(plugin: Any) -> None:
    found = needed(np.array([plugin.b_plugin.Mine(), None], dtype=object))
    assert {"b-plugin", "thing-lib", "numpy", "joblib"} == set(by_name(found))


def test_a_plugins_class_needs_the_distributions_of_its_bases_too(plugin: Any) -> None:
    assert by_name(needed(plugin.b_plugin.Mine())) == {
        "b-plugin": ("classes", ("b_plugin:Mine",)),
        "thing-lib": ("classes", ("thing_lib:Thing",)),
    }


def test_a_librarys_class_needs_a_plugin_that_lets_it_in(plugin: Any) -> None:
    """Without one, unpickling would be refused; the first by name, unless another is needed anyhow."""
    alone, both = needed(plugin.thing_lib.Other()), needed([plugin.thing_lib.Other(), plugin.b_plugin.double])
    swift = needed(plugin.thing_lib.Other(), ("swift", "B_Plugin"))

    library = ("classes", ("thing_lib:Other",))
    assert by_name(alone) == {"a-plugin": ("policy", ("thing_lib:Other",)), "thing-lib": library}
    assert by_name(both) == {"b-plugin": ("classes", ("b_plugin:double",)), "thing-lib": library}
    assert by_name(swift) == {"b-plugin": ("policy", ("kernel swift", "thing_lib:Other")), "thing-lib": library}
    assert alone.lock["a-plugin"] == "0.1"


def test_a_class_that_is_in_no_distribution_is_told() -> None:
    """The policy of the tests lets their own classes in."""
    found = needed(make_pipeline(StandardScaler(), Own()))
    assert found.unowned == (f"{__name__}:Own",)


class Own(Ridge):  # type: ignore[misc]
    """Lies beside the project, and in no distribution."""


def test_few_of_many_classes_are_named() -> None:
    found = needed(
        [FITTED, *(FunctionTransformer(f) for f in (np.clip, np.median, np.nanmean, np.nanmedian, np.round))]
    )
    assert len(by_name(found)["numpy"][1]) == MOST_CAUSES


@pytest.mark.parametrize(
    ("name", "version", "kind", "problem"),
    [
        ("thing-lib", "2.0", "classes", None),
        ("thing-lib", "2.0.0", "classes", None),
        ("thing-lib", "2.0+cpu", "classes", None),
        ("thing-lib", "1.9", "classes", "thing-lib 1.9, and 2.0 is installed"),
        ("thing-lib", "2.1", "classes", "thing-lib 2.1, and 2.0 is installed"),
        ("thing-lib", "latest", "classes", "thing-lib latest, and 2.0 is installed"),
        ("thing-lib", "1.9", "policy", None),
        ("thing-lib", "2.1", "policy", "thing-lib 2.1 or newer, and 2.0 is installed"),
        ("gone", "1", "classes", "gone 1, which is not installed"),
        ("gone", "1", "policy", "gone 1 or newer, which is not installed"),
        ("numpy", "1.26.4", "classes", None),
        ("numpy", "99", "classes", f"numpy 99 or newer, and {np.__version__} is installed"),
        ("pegboard", "0.0.1", "classes", None),
        ("scikit-learn", "1.0", "classes", f"scikit-learn 1.0, and {library_version('scikit-learn')} is installed"),
    ],
)
@pytest.mark.usefixtures("plugin")
def test_a_version_will_do_or_is_named_with_what_is_installed(
    name: str, version: str, kind: Any, problem: str | None
) -> None:
    assert Requirement(name, version, kind, ()).problem == problem


def test_one_refusal_lists_all_that_is_wrong_with_the_command_and_a_missing_kernel_is_none(
    write_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    direct = [
        Requirement("lightgbm", "0.9", "classes", ("lightgbm.basic:Booster",)),
        Requirement("numpy", np.__version__, "classes", ("numpy:dtype",)),
        Requirement("pegboard-gone", "1.2", "policy", ("lightgbm.basic:Booster",)),
        Requirement("pegboard-swift", "0.3", "kernel", ("kernel swift",)),
    ]
    written = Requirements(tuple(direct), {}, {}, ()).to_dict()
    bundle = open_bundle(write_bundle(tmp_path, requirements=written))
    here = library_version("lightgbm")

    with pytest.raises(BundleError) as refused:
        bundle.pipeline()

    assert str(refused.value) == (
        f"{bundle.directory} needs lightgbm 0.9, and {here} is installed; pegboard-gone 1.2 or newer, which is not "
        "installed: pip install lightgbm==0.9 pegboard-gone==1.2, or train again"
    )
    assert requirements.problems(bundle) == [
        f"needs lightgbm 0.9, and {here} is installed: pip install lightgbm==0.9",
        "needs pegboard-gone 1.2 or newer, which is not installed: pip install pegboard-gone==1.2",
    ]
    assert requirements.slower(bundle) == [
        "answers slower without kernel swift: needs pegboard-swift 0.3 or newer, which is not installed: "
        "pip install pegboard-swift==0.3"
    ]


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,5}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9][0-9a-z.!+_-]{0,6}", fullmatch=True)
LINES = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=8)
DIRECT = st.builds(
    Requirement, NAMES, VERSIONS, st.sampled_from(["classes", "policy", "kernel"]), st.lists(LINES).map(tuple)
)


@given(
    st.builds(
        Requirements,
        st.lists(DIRECT, max_size=3).map(tuple),
        st.dictionaries(NAMES, VERSIONS, max_size=3),
        st.dictionaries(NAMES, LINES, max_size=2),
        st.lists(LINES, max_size=2).map(tuple),
    )
)
def test_requirements_come_back_from_the_manifest_as_they_were(written: Requirements) -> None:
    assert Requirements.from_dict(written.to_dict()) == written


@pytest.mark.parametrize(
    "text", ["x; rm -rf .", "--index-url", "x\n--index-url=y", "-r", "", " ", "x y", "$(x)", "`x`"]
)
@pytest.mark.parametrize("place", ["name", "version", "lock name", "lock version"])
def test_nothing_gets_into_a_command_or_a_lock_that_is_no_name_and_no_version(place: str, text: str) -> None:
    good = Requirements((Requirement("a", "1", "classes", ()),), {"a": "1"}, {}, ()).to_dict()
    if place in ("name", "version"):
        good["direct"][0][place] = text
    else:
        good["lock"] = {text: "1"} if place == "lock name" else {"a": text}
    with pytest.raises(ValueError, match=r"cannot be"):
        Requirements.from_dict(good)


@pytest.mark.parametrize("place", ["for", "origins", "unowned"])
def test_a_comment_in_a_lock_is_one_line(place: str) -> None:
    good = Requirements((Requirement("a", "1", "classes", ()),), {"a": "1"}, {}, ()).to_dict()
    line = "x\n--index-url=y"
    if place == "for":
        good["direct"][0]["for"] = [line]
    else:
        good[place] = {"a": line} if place == "origins" else [line]
    with pytest.raises(ValueError, match=r"no line of text"):
        Requirements.from_dict(good)


def test_a_published_version_says_what_it_needs_and_which_kernel_would_serve(tmp_path: Path, plugin: Any) -> None:
    frame = pd.DataFrame({"x": ROWS[:, 0], "y": ROWS[:, 1], "price": ROWS @ [2.0, 3.0]})
    signature = learn_signature(frame, SourceSpec(name="t", task="regression", target="price", load=pd.DataFrame))
    table = Table.of(frame, signature)
    candidate = Candidate("linear", (1.0, 1.0))
    winner = Winner(candidate, make_pipeline(LinearRegression()).fit(table.features, table.target), None, 0)
    board = Leaderboard.of("rmse", False, [candidate])

    def published(*kernels: tuple[str, bool]) -> dict[str, tuple[str, tuple[str, ...]]]:
        entries = tuple(Entry(kernel(name, right), Plugin(name, "b-plugin", "0.2")) for name, right in kernels)
        experiment = Experiment(name="t", source="t", registry=str(tmp_path / "registry"))
        trained = Trained(experiment, table, ValidationReport(len(table), ()), board, winner, (), entries)
        registry = Registry(tmp_path / "registry")
        return by_name(registry.open(publish(trained, registry)).requirements)

    assert set(published()) == {"joblib", "numpy", "scikit-learn"}
    assert published(("swift", True))["b-plugin"] == ("kernel", ("kernel swift",))
    assert "b-plugin" not in published(("wrong", False))
    assert "b-plugin" not in published(("one", True), ("other", True))  # neither would serve


def kernel(name: str, right: bool) -> KernelSpec:
    def build(pipeline: Any, _: Any) -> Any:
        def many(columns: Any) -> Any:
            return pipeline.predict(pd.DataFrame({"x": columns[0], "y": columns[1]})) + (not right)

        return SimpleNamespace(many=many, one=lambda row: float(many([[value] for value in row[:2]])[0]))

    return KernelSpec(name=name, estimator="sklearn.linear_model:LinearRegression", build=build)
