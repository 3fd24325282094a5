"""Compiled predictors on all of Ames: the pipeline's own answers, by row, by batch, and from many threads."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from pegboard import Kernel, SourceSpec, Wants
from pegboard.catalog import Catalog
from pegboard.frames import as_frame, conform, from_rows, to_records, to_rows
from pegboard.kernels import forest as forests
from pegboard.kernels.families import build
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.signature import LARGEST_INTEGER, Signature

SCALED, PLAIN = Wants(scaling=True), Wants()
SPARSE = Wants(dense=False)
TREES: dict[str, Any] = {"n_estimators": 20, "random_state": 0}
FORESTS = {
    "random forest": (RandomForestRegressor(**TREES), PLAIN),
    "random forest, scaled": (RandomForestRegressor(**TREES), SCALED),
    "random forest, sparse": (RandomForestRegressor(**TREES), SPARSE),
    "extra trees": (ExtraTreesRegressor(**TREES), PLAIN),
    "one tree": (RandomForestRegressor(1, random_state=0), PLAIN),
    "stumps": (RandomForestRegressor(7, max_depth=1, random_state=0), PLAIN),
    "random forest on a scaled target": (
        TransformedTargetRegressor(RandomForestRegressor(**TREES), transformer=StandardScaler()),
        PLAIN,
    ),
    "random forest of classes": (RandomForestClassifier(**TREES), PLAIN),
    "extra trees of classes": (ExtraTreesClassifier(**TREES), PLAIN),
}
OTHERS = {
    "linear": (LinearRegression(), SCALED),
    "linear, not scaled": (LinearRegression(), PLAIN),
    "linear, sparse": (LinearRegression(), SPARSE),
    "linear without intercept": (LinearRegression(fit_intercept=False), SCALED),
    "ridge": (Ridge(), SCALED),
    "lasso": (Lasso(10.0), SCALED),
    "elastic net": (ElasticNet(0.1), SCALED),
    "lasso on a scaled target": (TransformedTargetRegressor(Lasso(0.01), transformer=StandardScaler()), SCALED),
    "svr": (TransformedTargetRegressor(SVR(), transformer=StandardScaler()), SCALED),
    "svr, sparse": (TransformedTargetRegressor(SVR(), transformer=StandardScaler()), replace(SPARSE, scaling=True)),
    "svr on the bare target": (SVR(C=1e5), SCALED),
    "logistic": (LogisticRegression(max_iter=200), SCALED),
}
ALL = {**FORESTS, **OTHERS}


@dataclass(frozen=True)
class Case:
    """A fitted pipeline, its kernel, and rows to ask them for."""

    predictor: Predictor
    kernel: Kernel
    rows: list[list[Any]]

    def ask(self, rows: Sequence[list[Any]]) -> Any:
        return self.predictor.ask(from_rows(rows, self.predictor.signature))

    def many(self, rows: Sequence[list[Any]]) -> Any:
        return self.kernel.many(from_rows(rows, self.predictor.signature))

    def one(self, rows: Sequence[list[Any]]) -> Any:
        return np.array([self.kernel.one(row) for row in rows])


@cache
def ames() -> pd.DataFrame:
    frame: pd.DataFrame = Catalog(load_plugins()).get(SourceSpec, "house-prices").load()
    # Nulls where the real table has none, so that imputing is a part of it.
    frame = frame.astype({"TotalBsmtSF": float, "MSZoning": object})
    frame.loc[frame.index % 7 == 0, "TotalBsmtSF"] = None
    frame.loc[frame.index % 11 == 0, "MSZoning"] = None
    frame["Old"] = frame["YearBuilt"] < 1950
    return frame


@cache
def case(name: str) -> Case:
    estimator, wants = ALL[name]
    frame = ames()
    task = "classification" if hasattr(estimator, "predict_proba") else "regression"
    target = "SalePrice"
    if task == "classification":
        prices = frame[target]
        frame = frame.assign(SalePrice=np.where(prices < 130_000, "cheap", np.where(prices > 200_000, "dear", "fair")))
    source = SourceSpec(name="ames", task=task, target=target, keys=("Id",), load=pd.DataFrame)  # type: ignore[arg-type]
    signature = learn_signature(frame, source)
    features = conform(frame, signature)
    pipeline = make_pipeline(tabular(signature, wants), estimator).fit(features, frame[target].to_numpy())
    kernel = build(pipeline, signature)
    assert kernel is not None
    rows = to_rows(to_records(features, signature), signature)
    return Case(Predictor(pipeline, signature), kernel, rows + edges(signature, rows))


def edges(signature: Signature, rows: list[list[Any]]) -> list[list[Any]]:
    """Rows with nulls, unknown categories and extreme values, several at once."""
    changed = [list(row) for row in rows[:200]]
    for number, row in enumerate(changed):
        for position, feature in enumerate(signature.features):
            if feature.nullable and (number + position) % 3 == 0:
                row[position] = None
            elif feature.kind == "category" and (number + position) % 4 == 0:
                row[position] = f"never seen {number}"
            elif feature.kind == "integer" and number % 20 == position:
                row[position] = (LARGEST_INTEGER, -LARGEST_INTEGER)[number % 2]
    return changed


@pytest.mark.parametrize("name", FORESTS)
def test_a_forest_has_the_pipelines_bits_for_one_row_and_for_all(name: str) -> None:
    this = case(name)
    expected = this.ask(this.rows)
    np.testing.assert_array_equal(this.many(this.rows), expected)
    np.testing.assert_array_equal(this.one(this.rows), expected)
    for size in (1, 2, forests.MANY - 1, forests.MANY, forests.MANY + 1):
        np.testing.assert_array_equal(this.many(this.rows[-size:]), this.ask(this.rows[-size:]))


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_kernel_is_within_1e_9_of_the_pipeline_for_one_row_and_for_all(name: str) -> None:
    this = case(name)
    expected = this.ask(this.rows)
    near = 1e-12 * np.abs(expected[:2930]).max()
    np.testing.assert_allclose(this.many(this.rows), expected, rtol=1e-9, atol=near)
    np.testing.assert_allclose(this.one(this.rows), expected, rtol=1e-9, atol=near)


@pytest.mark.parametrize("name", OTHERS)
def test_an_answer_does_not_depend_on_the_batch(name: str) -> None:
    this = case(name)
    whole = this.many(this.rows)
    near = 1e-12 * np.abs(whole[:2930]).max()
    np.testing.assert_allclose(this.one(this.rows), whole, rtol=1e-12, atol=near)
    for part in (slice(0, 1), slice(100, 102), slice(2900, 3000)):
        np.testing.assert_allclose(this.many(this.rows[part]), whole[part], rtol=1e-12, atol=near)


@pytest.mark.parametrize("name", ["random forest", "random forest of classes", "linear", "logistic", "svr"])
def test_eight_threads_at_once_get_the_same_bits(name: str) -> None:
    this = case(name)
    rows = this.rows[-400:]
    one, many = this.one(rows), this.many(rows)

    def ask(number: int) -> bool:
        shifted = rows[number * 50 :] + rows[: number * 50]
        alone = np.roll(this.one(shifted), number * 50, axis=0)
        return bool((alone == one).all() and (this.many(rows) == many).all())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [True] * 8


@pytest.mark.parametrize("name", ["random forest", "linear", "svr", "logistic"])
def test_values_after_the_features_are_ignored(name: str) -> None:
    this = case(name)
    row = this.rows[0]
    assert this.kernel.one([*row, "a key", None]) == this.kernel.one(row)


def test_answers_are_plain_numbers_of_python() -> None:
    assert {type(case(name).kernel.one(case(name).rows[0])) for name in ("linear", "svr", "random forest")} == {float}
    for name in ("logistic", "random forest of classes"):
        answer = case(name).kernel.one(case(name).rows[0])
        assert isinstance(answer, list)
        assert [type(number) for number in answer] == [float] * 3


def test_a_forest_whose_nodes_are_of_another_layout_is_asked_tree_by_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    this = case("random forest")
    monkeypatch.setattr("pegboard.kernels.merged.NODE", np.dtype([("left_child", "<i8")]))
    kernel = build(this.predictor.pipeline, this.predictor.signature)
    assert kernel is not None
    assert kernel._merged is None  # type: ignore[attr-defined]
    rows = this.rows[-40:]
    np.testing.assert_array_equal([kernel.one(row) for row in rows], this.ask(rows))
    columns = from_rows(rows, this.predictor.signature)
    np.testing.assert_array_equal(kernel.many(columns), this.ask(rows))
    np.testing.assert_array_equal(kernel.many([column[:5] for column in columns]), this.ask(rows[:5]))


def test_a_forest_refuses_what_float32_cannot_hold_after_scaling_as_its_pipeline_does() -> None:
    this = case("random forest, scaled")
    row = list(this.rows[0])
    tiny = as_frame(from_rows([row], this.predictor.signature), this.predictor.signature)
    scaler = this.predictor.pipeline[0].named_transformers_["numbers"][-1]
    position = [f.name for f in this.predictor.signature.features if f.kind != "category"].index("LotArea")
    kept = scaler.scale_[position]
    scaler.scale_[position] = 1e-35
    try:
        kernel = build(this.predictor.pipeline, this.predictor.signature)
        with pytest.raises(ValueError, match="too large for dtype"):
            this.predictor.pipeline.predict(tiny)
    finally:
        scaler.scale_[position] = kept
    assert kernel is not None
    assert np.isnan(kernel.one(row))
    assert np.isnan(kernel.many(from_rows([row] * 40, this.predictor.signature))).all()


@pytest.mark.parametrize(
    "estimator",
    [
        SVR(kernel="linear"),
        SVR(kernel="poly"),
        SVR(gamma=1e6, C=1e5),
        TransformedTargetRegressor(SVR(), func=np.log1p, inverse_func=np.expm1),
        TransformedTargetRegressor(SVR(kernel="linear"), transformer=StandardScaler()),
        LinearRegression().fit([[0.0], [1.0]], [[0.0, 1.0], [1.0, 2.0]]),
    ],
    ids=["linear svr", "poly svr", "a very narrow svr", "log target", "linear svr on a scaled target", "two targets"],
)
def test_what_no_kernel_is_written_for_is_not_compiled(estimator: Any) -> None:
    frame = ames().head(60)[["LotArea", "YearBuilt", "SalePrice"]]
    signature = learn_signature(frame, SourceSpec(name="a", task="regression", target="SalePrice", load=pd.DataFrame))
    pipeline = make_pipeline(tabular(signature, SCALED), estimator)
    if not hasattr(estimator, "coef_"):
        pipeline.fit(conform(frame, signature), frame["SalePrice"].to_numpy())
    else:
        pipeline[0].fit(conform(frame, signature))
    assert build(pipeline, signature) is None
