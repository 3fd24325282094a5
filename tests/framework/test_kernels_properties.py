"""Compiled predictors on tables that hypothesis makes: nulls, unknown categories, extreme values, constant columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from pegboard import KernelSpec, ModelSpec, PreprocessorSpec, SourceSpec, Wants
from pegboard.catalog import Catalog
from pegboard.frames import conform, from_rows, to_records, to_rows
from pegboard.kernels.choose import choose
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.signature import Signature
from pegboard.testing.strategies import frames, signatures, values
from pegboard.training.candidate import Contender
from pegboard.training.values import Table

CATALOG = Catalog(load_plugins())
TABULAR = CATALOG.get(PreprocessorSpec, "tabular")


def model(name: str, make: Callable[[], Any], **wants: bool) -> ModelSpec:
    task: Any = "classification" if hasattr(make(), "predict_proba") else "regression"
    return ModelSpec(name=name, task=task, make=make, wants=Wants(**wants))


FORESTS = [
    model("forest", lambda: RandomForestRegressor(5)),
    model("sparse-forest", lambda: RandomForestRegressor(5), dense=False),
    model("scaled-forest", lambda: RandomForestRegressor(5), scaling=True),
    model("forest-of-classes", lambda: RandomForestClassifier(5)),
    model("extra-trees-of-classes", lambda: ExtraTreesClassifier(5)),
]
OTHERS = [CATALOG.get(ModelSpec, name) for name in ("linear-regression", "logistic-regression", "svr")]
by_name = {"ids": lambda m: m.name}


def compiled(spec: ModelSpec, frame: pd.DataFrame, declared: Signature) -> tuple[Predictor, list[list[Any]]]:
    """A predictor as a bundle's, checked on up to 64 training rows, and those."""
    kinds = {feature.name: feature.kind for feature in declared.features}
    source = SourceSpec(name="any", task=declared.task, target=declared.target, load=pd.DataFrame, features=kinds)
    signature = learn_signature(frame, source)
    table = Table.of(frame, signature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns, and fits that do not converge on noise
        pipeline = Contender(spec, TABULAR, signature, 0).build().fit(table.features, table.target)
    rows = to_rows(to_records(table.features, signature), signature)
    kernels = CATALOG.kernels()
    return Predictor(
        pipeline, signature, choose(pipeline, signature, kernels, Predictor(pipeline, signature).ask, rows)
    ), rows


def strange_rows(signature: Signature, largest: float) -> st.SearchStrategy[list[list[Any]]]:
    """Rows that fit a signature, with any text for a category."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    fields = [values(f, largest) | texts if f.kind == "category" else values(f, largest) for f in signature.features]
    return st.lists(st.tuples(*fields).map(list), min_size=1, max_size=40)


def both_ways(predictor: Predictor, rows: list[list[Any]]) -> tuple[Any, Any]:
    assert predictor.kernel is not None, predictor.note
    one = np.array([predictor.kernel.one(row) for row in rows])
    return one, predictor.kernel.many(from_rows(rows, predictor.signature))


@pytest.mark.parametrize("spec", FORESTS, **by_name)
@settings(max_examples=30)
@given(data=st.data())
def test_any_forest_has_the_bits_of_its_pipeline_for_any_rows(spec: ModelSpec, data: st.DataObject) -> None:
    declared = data.draw(signatures().filter(lambda s: s.task == spec.task))
    largest = 1e30 if spec.wants.scaling else 3e38
    predictor, stored = compiled(spec, data.draw(frames(declared, largest=largest)), declared)
    rows = stored + data.draw(strange_rows(predictor.signature, largest / 1e8))
    expected = predictor.ask(from_rows(rows, predictor.signature))
    for found in both_ways(predictor, rows):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("spec", OTHERS, **by_name)
@settings(max_examples=30)
@given(data=st.data())
def test_any_other_kernel_is_within_1e_9_for_any_rows(spec: ModelSpec, data: st.DataObject) -> None:
    declared = data.draw(signatures().filter(lambda s: s.task == spec.task))
    # Beyond some 1e6 a difference of two large terms may leave less than nine digits, in any arithmetic.
    predictor, stored = compiled(spec, data.draw(frames(declared, largest=1e6)), declared)
    if predictor.kernel is None:  # an SVR of a constant target has no support vectors
        assert spec.name == "svr"
        return
    rows = stored + data.draw(strange_rows(predictor.signature, 1e6))
    expected = predictor.ask(from_rows(rows, predictor.signature))
    near = 1e-9 * np.abs(expected).max()
    one, many = both_ways(predictor, rows)
    np.testing.assert_allclose(one, expected, rtol=1e-9, atol=near)
    np.testing.assert_allclose(many, expected, rtol=1e-9, atol=near)
    np.testing.assert_allclose(one, many, rtol=1e-12, atol=near / 1e3)


@pytest.mark.parametrize("spec", [*FORESTS[:4:3], *OTHERS], **by_name)
@pytest.mark.parametrize(
    "columns",
    [
        {"same": 3.0, "x": range(40)},
        {"none": None, "x": range(40)},
        {"none": None},
        {"x": [n % 7 / 3 for n in range(40)]},
        {"z": ["a", "b", "c", None] * 10},
        {"yes": [True, False, None, True] * 10, "x": range(40)},
        {"z": ["a"] * 39 + ["b"], "w": ["c"] * 40},
    ],
    ids=["constant", "all null", "only nulls", "no categories", "no numbers", "booleans", "rare categories"],
)
def test_columns_of_little_use_are_compiled_too(spec: ModelSpec, columns: dict[str, Any]) -> None:
    frame = pd.DataFrame({**columns, "y": [float(n % 5) for n in range(40)]}, index=range(40))
    if spec.task == "classification":
        frame["y"] = (frame["y"] > 2).map({True: "more", False: "less"})
    kinds: dict[str, Any] = {
        name: {"z": "category", "w": "category", "yes": "boolean"}.get(name, "number") for name in columns
    }
    source = SourceSpec(name="any", task=spec.task, target="y", load=pd.DataFrame, features=kinds)
    predictor, rows = compiled(
        spec, frame.astype({"none": float} if "none" in columns else {}), learn_signature(frame, source)
    )
    one, many = both_ways(predictor, rows)
    expected = predictor.ask(from_rows(rows, predictor.signature))
    np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(many, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [LogisticRegression, RandomForestClassifier], ids=lambda m: m.__name__)
@pytest.mark.parametrize(
    "labels",
    [["setosa", "versicolor", "virginica"], [7, 3, 30], [False, True, True]],
    ids=["texts", "integers", "booleans"],
)
def test_labels_keep_their_type_and_probabilities_their_order(make: Callable[[], Any], labels: list[Any]) -> None:
    iris = load_iris(as_frame=True)
    frame = iris.data.assign(kind=[labels[number] for number in iris.target])
    source = SourceSpec(name="iris", task="classification", target="kind", load=pd.DataFrame)
    predictor, rows = compiled(model("any", make), frame, learn_signature(frame, source))
    assert predictor.signature.classes == tuple(sorted(set(labels)))
    plain = Predictor(predictor.pipeline, predictor.signature).predict_rows(rows)
    ours = predictor.predict_rows(rows)
    assert ours.values == plain.values
    assert ours.probabilities is not None
    np.testing.assert_allclose(ours.probabilities, plain.probabilities, rtol=1e-9, atol=1e-12)
    for number in (0, 60, 149):
        one = predictor.predict_rows([rows[number]])
        assert one.values == [ours.values[number]]
        assert type(one.values[0]) is type(labels[0])
        assert type(ours.values[number]) is type(labels[0])
        np.testing.assert_allclose(one.probabilities, ours.probabilities[number : number + 1], rtol=1e-12)
    table = predictor.predict(conform(frame, predictor.signature))
    assert table.values.tolist() == ours.values


def test_kernels_come_from_plugins_by_register_kernels(board_with: Callable[..., Any]) -> None:
    mine = KernelSpec(name="mine", estimator="sklearn.svm:NuSVR", build=lambda *_: None)
    _, catalog = board_with(register_kernels=[mine])
    assert mine in catalog.kernels()
    _, catalog = board_with(register_kernels=[mine, KernelSpec(name="ridge", estimator="a:B", build=lambda *_: None)])
    assert {spec.name for spec in catalog.kernels()} & {"mine", "ridge"} == {"mine"}
    assert any("kernel 'ridge' belongs to neither" in str(problem) for problem in catalog.problems)
