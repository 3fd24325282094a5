"""Each defect of the gallery is caught by the check that names it, and by no other; the good ones pass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from pegboard.errors import PluginError
from pegboard.testing.kit import Finding, Kit
from pegboard.testing.suite import open_kit

GALLERY = ("models", "heavy", "scorers", "sources", "others")
#: These start a process for each model: they are run for those models that are about them, and for good ones.
SLOW = {"reloads-the-same", "serves-the-same"}

MODELS = {
    "fits-in-make": "factory-is-cheap",
    "returns-fitted": "factory-is-cheap",
    "reads-in-make": "factory-is-cheap",
    "drops-parameter": "parameters",
    "unclonable": "clone",
    "wrong-space": "search-space",
    "ignores-seed": "deterministic",
    "changes-features": "leaves-input-alone",
    "changes-target": "leaves-input-alone",
    "refuses-nulls": "nulls",
    "refuses-unknown": "unknown-categories",
    "refuses-constants": "constant-columns",
    "refuses-one-row": "one-row",
    "refuses-few-rows": "any-table",
    "first-column": "column-order",
    "looks-around": "batch",
    "logarithm": "finite-predictions",
    "holds-lambda": "pickles",
    "undescribed": "described",
    "loses-probability": "probabilities",
    "backward-classes": "classes-in-order",
}
REST = {
    "scorer": {
        "not-negated": "direction",
        "wrong-flag": "direction",
        "biased": "perfect-is-best",
        "by-position": "row-order",
        "weighs-wrongly": "sample-weights",
        "not-a-number": "finite-scores",
    },
    "source": {
        "changing": "same-fingerprint",
        "wrong-kind": "declared-signature",
        "wrong-column": "declared-signature",
        "misspelt": "expectations",
        "broken": "expectations",
        "failing": "errors",
        "careless": "errors",
        "needs-options": "delivers",
    },
    "preprocessor": {"refuses-unknown": "unknown-categories", "keeps-nulls": "transforms", "holds-lambda": "pickles"},
    "splitter": {"overlapping": "disjoint", "forgetful": "covers", "unseeded": "repeats"},
    "criterion": {"stranger": "chooses-from-the-board"},
    "tuner": {"outside": "stays-in-the-space", "spendthrift": "keeps-its-budget", "unseeded": "repeats"},
    "kernel": {"half": "agrees", "second-claim": "only-claim"},
    "command": {"gone": "imports"},
    "observer": {"after_candidate": "takes-its-arguments"},
}
PLUGINS = {"model": "models", "scorer": "scorers", "source": "sources"}
GOOD = {
    "scorer": ("good", "good-classes"),
    "source": ("good", "good-configured"),
    "preprocessor": ("good",),
    "splitter": ("good",),
    "criterion": ("first",),
    "tuner": ("good",),
    "kernel": ("good",),
    "command": ("good",),
    "observer": ("after_publish",),
}

Findings = Callable[[str, str], list[Finding]]


@pytest.fixture(scope="module")
def gallery() -> Iterator[Callable[[str], Kit]]:
    """Return the kit of one of the gallery's plugins, loaded as if it were installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        patch.setenv("PEGBOARD_UNPICKLE", "bad_plugins.*")
        installed = list(entry_points(group="pegboard"))
        extra = [EntryPoint(name, f"bad_plugins.{name}", "pegboard") for name in (*GALLERY, "impossible")]
        yield cache(lambda plugin: open_kit(plugin, {}, [*installed, *extra]))
        for name in [name for name in sys.modules if name.split(".")[0] == "bad_plugins"]:
            del sys.modules[name]


def found(kit: Kit, kind: str, name: str, without: set[str]) -> list[Finding]:
    cases = [c for c in kit.cases() if (c.thing.kind, c.thing.name) == (kind, name)]
    assert cases, f"nothing is checked of {kind} {name}"
    return [kit.run(case) for case in cases if case.check.name not in without]


def failed(findings: list[Finding]) -> list[str]:
    return [finding.check for finding in findings if finding.passed is False]


@pytest.mark.parametrize(("name", "expected"), MODELS.items(), ids=MODELS)
def test_a_models_defect_is_caught_by_the_check_that_names_it(
    gallery: Callable[[str], Kit], name: str, expected: str
) -> None:
    findings = found(gallery("models"), "model", name, SLOW)
    assert failed(findings) == [expected], [f for f in findings if f.passed is False]


@pytest.mark.parametrize(
    ("kind", "name", "expected"), [(k, n, e) for k, defects in REST.items() for n, e in defects.items()]
)
def test_every_other_defect_is_caught_by_the_check_that_names_it(
    gallery: Callable[[str], Kit], kind: str, name: str, expected: str
) -> None:
    findings = found(gallery(PLUGINS.get(kind, "others")), kind, name, set())
    assert failed(findings) == [expected], [f for f in findings if f.passed is False]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in GOOD.items() for name in names])
def test_the_good_ones_pass(gallery: Callable[[str], Kit], kind: str, name: str) -> None:
    findings = found(gallery(PLUGINS.get(kind, "others")), kind, name, set())
    assert [f for f in findings if not f.passed] == []


@pytest.mark.parametrize("name", ["good-regressor", "good-classifier"])
def test_good_models_pass_all_the_way_to_a_server(gallery: Callable[[str], Kit], name: str) -> None:
    assert [f for f in found(gallery("models"), "model", name, set()) if not f.passed] == []


def test_what_is_learned_outside_the_pickle_is_missed_in_a_fresh_process(gallery: Callable[[str], Kit]) -> None:
    findings = found(gallery("models"), "model", "forgets", set())
    assert failed(findings) == ["reloads-the-same"]
    problem = next(f.problem for f in findings if f.check == "reloads-the-same")
    assert problem.startswith("in a fresh process: KeyError: ")
    (served,) = [f for f in findings if f.check == "serves-the-same"]
    assert served.passed is None
    assert served.problem == "not run: it needs 'reloads-the-same', which does not hold"


def test_an_answer_that_depends_on_the_position_depends_on_the_batch_too(gallery: Callable[[str], Kit]) -> None:
    assert failed(found(gallery("models"), "model", "counts-rows", SLOW)) == ["batch", "row-order"]


def test_what_cannot_be_made_at_all_fails_where_it_is_made_and_nothing_else_is_tried(
    gallery: Callable[[str], Kit],
) -> None:
    findings = found(gallery("models"), "model", "cannot-learn", SLOW)
    assert failed(findings) == ["factory-is-cheap", "clone", "learns"]
    assert all("NoSuchEstimator" in f.problem for f in findings if f.passed is False)


def test_a_library_that_is_imported_too_soon_is_named(gallery: Callable[[str], Kit]) -> None:
    findings = found(gallery("heavy"), "plugin", "heavy", set())
    assert failed(findings) == ["imports-lazily"]
    assert "sklearn" in findings[-1].problem
    assert failed(found(gallery("models"), "plugin", "models", set())) == []


def test_what_an_observer_writes_is_not_left_beside_the_authors_sources(
    gallery: Callable[[str], Kit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = gallery("others")
    # A new kit of the same things: the gallery's own may have run the check before.
    kit = Kit(others.manager, others.options, others.things)
    (finding,) = found(kit, "observer", "after_publish", set())
    assert finding.passed
    assert list(tmp_path.iterdir()) == []
    assert list(kit.directory().parent.rglob("published.txt"))


def test_an_observer_with_an_impossible_argument_is_an_error_that_names_it(gallery: Callable[[str], Kit]) -> None:
    with pytest.raises(PluginError, match=r"plugin impossible .*is not loaded: (.|\n)*'versions'"):
        gallery("impossible")


def test_the_smallest_example_is_shown(gallery: Callable[[str], Kit]) -> None:
    findings = found(gallery("models"), "model", "logarithm", SLOW)
    (finite,) = [f for f in findings if f.check == "finite-predictions"]
    assert finite.problem in ("the prediction is nan", "the prediction is -inf")
    header, first, *_ = finite.example.splitlines()
    assert header.split() == ["area", "rooms", "garden", "zone"]
    assert float(first.split()[0]) <= 0
