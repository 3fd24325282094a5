"""What is measured of the winner on the hold-out, and what it may cost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, root_mean_squared_error

from pegboard import ModelSpec, ScorerSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.learning import learn_signature
from pegboard.manager import Manager
from pegboard.registry import Registry
from pegboard.runs.record import Runs
from pegboard.specs import PreprocessorSpec
from pegboard.training import evaluate as stage
from pegboard.training.candidate import Contender
from pegboard.training.evaluate import evaluate, refit
from pegboard.training.pipeline import run
from pegboard.training.plan import find_scorer
from pegboard.training.values import Evaluation, Split, Table

Board = tuple[Manager, Catalog]


def noisy(rows: int = 400, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns |= {name: rng.normal(size=rows) for name in ("much", "little", "none")}
    frame = pd.DataFrame(columns)
    return frame.assign(y=10 * frame["much"] + frame["little"] + 0.1 * rng.normal(size=rows))


class Bench:
    """A table, cut into a training part and a hold-out, and the parts to evaluate a model on it."""

    def __init__(self, catalog: Catalog, frame: pd.DataFrame, task: str = "regression") -> None:
        source = SourceSpec(name="table", task=task, target="y", load=lambda: frame)  # type: ignore[arg-type]
        self.catalog, self.table = catalog, Table.of(frame, learn_signature(frame, source))
        half = np.arange(len(frame))
        self.parts = Split(half[: len(frame) // 2], half[len(frame) // 2 :], ())

    def contender(self, model: str | ModelSpec) -> Contender:
        spec = self.catalog.get(ModelSpec, model) if isinstance(model, str) else model
        return Contender(spec, self.catalog.get(PreprocessorSpec, "tabular"), self.table.signature, 0)

    def evaluate(self, model: str | ModelSpec, scorer: str | ScorerSpec = "rmse") -> Evaluation:
        if isinstance(scorer, str):
            scorer = find_scorer(scorer, self.table.signature.task, self.catalog)
        return evaluate(self.contender(model), self.table, self.parts, scorer)


@pytest.fixture
def bench(catalog: Catalog) -> Bench:
    return Bench(catalog, noisy())


def test_the_recipe_is_fitted_on_the_training_part_and_measured_on_the_hold_out(bench: Bench) -> None:
    found = bench.evaluate("linear-regression")
    recipe = bench.contender("linear-regression").build().fit(*bench.table.rows(bench.parts.train))
    features, actual = bench.table.rows(bench.parts.holdout)
    assert found.score == pytest.approx(root_mean_squared_error(actual, recipe.predict(features)))
    assert found.rows == 200
    assert found.predictions is not None
    assert found.predictions["actual"] == actual.tolist()
    assert found.predictions["predicted"] == recipe.predict(features).tolist()
    assert (found.confusion, found.calibration) == (None, None)
    published = refit(bench.contender("linear-regression"), bench.table)
    assert published[-1].coef_ != pytest.approx(recipe[-1].coef_, rel=1e-9)


def test_importance_is_what_shuffling_a_column_costs(bench: Bench) -> None:
    importance = bench.evaluate("linear-regression").importance
    assert importance is not None
    assert [row["column"] for row in importance] == ["much", "little", "none"]
    much, little, none = (row["mean"] for row in importance)
    # Shuffling doubles a column's variance: an error of 10 * sqrt(2) for this one.
    assert much == pytest.approx(10 * np.sqrt(2), rel=0.15)
    assert little == pytest.approx(np.sqrt(2), rel=0.25)
    assert abs(none) < 0.02
    assert all(row["spread"] >= 0 for row in importance)


def test_importance_is_positive_for_scores_that_shall_be_large_too(bench: Bench) -> None:
    importance = bench.evaluate("linear-regression", "r2").importance
    assert importance is not None
    assert importance[0]["column"] == "much"
    assert importance[0]["mean"] > 1


def test_evaluating_twice_gives_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MOST_PREDICTIONS", 50)
    monkeypatch.setattr(stage, "MOST_SHUFFLED", 600)
    one, two = (bench.evaluate("random-forest-regressor") for _ in range(2))
    assert one.to_dict() == two.to_dict()
    assert one.predictions is not None
    assert len(one.predictions["actual"]) == len(one.predictions["predicted"]) == 50
    assert set(one.predictions["actual"]) <= set(bench.table.target[bench.parts.holdout])


def test_no_more_rows_are_predicted_than_the_run_can_bear(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Counts(LinearRegression):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:
            seen.append(len(X))
            return super().predict(X)

    monkeypatch.setattr(stage, "MOST_SHUFFLED", 1000)
    bench.evaluate(ModelSpec(name="counts", task="regression", make=Counts))
    score, shown, base, *shuffled = seen
    assert (score, shown) == (200, 200)
    assert {base, *shuffled} == {1000 // (3 * stage.REPEATS)}
    assert len(shuffled) == 3 * stage.REPEATS


def test_too_many_columns_cost_the_importance_alone(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    wide = Bench(catalog, noisy(60, **{f"c{number}": np.arange(60.0) for number in range(100)}))
    found = wide.evaluate("linear-regression")
    assert found.importance is None
    assert found.score is not None
    assert "no permutation importance: TrainingError: 103 columns are too many" in caplog.text


def test_an_importance_that_fails_costs_that_figure_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def once(actual: Any, predicted: Any) -> float:
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("once only")
        return 0.5

    spec = ScorerSpec(name="once", tasks=("regression",), make=lambda: make_scorer(once), greater_is_better=True)
    with caplog.at_level(logging.WARNING, logger="pegboard"):
        found = bench.evaluate("linear-regression", spec)
    assert (found.score, found.importance) == (0.5, None)
    assert found.predictions is not None
    assert caplog.messages == ["no permutation importance: RuntimeError: once only"]


def test_predictions_that_are_no_numbers_are_not_shown(bench: Bench) -> None:
    class Wild(LinearRegression):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:
            predicted = super().predict(X)
            predicted[::2] = np.inf
            return predicted

    found = bench.evaluate(ModelSpec(name="wild", task="regression", make=Wild))
    assert (found.score, found.importance) == (None, None)
    assert found.predictions is not None
    assert len(found.predictions["predicted"]) == 100
    assert np.isfinite(found.predictions["predicted"]).all()


def classified(classes: int, rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, rows)
    return pd.DataFrame({"x": labels + rng.normal(scale=0.7, size=rows), "y": [f"class {n}" for n in labels]})


def test_a_classification_is_shown_by_confusion_and_calibration_of_each_class(catalog: Catalog) -> None:
    three = Bench(catalog, classified(3), "classification")
    found = three.evaluate("logistic-regression", "log-loss")
    assert found.predictions is None
    assert found.confusion is not None
    assert found.calibration is not None
    assert found.confusion["classes"] == ["class 0", "class 1", "class 2"]
    actual = three.table.target[three.parts.holdout]
    assert np.sum(found.confusion["counts"], axis=1).tolist() == [int(np.sum(actual == f"class {n}")) for n in range(3)]
    assert np.trace(found.confusion["counts"]) > 75
    assert [curve["class"] for curve in found.calibration] == ["class 0", "class 1", "class 2"]
    for curve in found.calibration:
        assert len(curve["predicted"]) == len(curve["observed"]) > 2
        assert 0 <= min(curve["predicted"] + curve["observed"]) <= max(curve["predicted"] + curve["observed"]) <= 1


def test_of_two_classes_the_second_is_the_positive_one(catalog: Catalog) -> None:
    found = Bench(catalog, classified(2), "classification").evaluate("logistic-regression", "log-loss")
    assert found.calibration is not None
    (curve,) = found.calibration
    assert curve["class"] == "class 1"
    assert curve["observed"][-1] > 0.8


def test_a_classifier_without_probabilities_has_no_calibration(catalog: Catalog) -> None:
    class Certain(DummyClassifier):  # type: ignore[misc]
        predict_proba = property()

    certain = ModelSpec(name="certain", task="classification", make=Certain)
    found = Bench(catalog, classified(2), "classification").evaluate(certain, "accuracy")
    assert found.confusion is not None
    assert found.calibration is None


def test_more_classes_than_can_be_read_are_not_shown(catalog: Catalog) -> None:
    found = Bench(catalog, classified(21, 900), "classification").evaluate("dummy-classifier", "accuracy")
    assert found.score is not None
    assert (found.confusion, found.calibration) == (None, None)


def test_without_a_hold_out_there_are_no_figures_and_the_run_is_published(
    board_with: Callable[..., Board], bench: Bench, tmp_path: Path
) -> None:
    empty = replace(bench.parts, holdout=np.array([], dtype=np.intp))
    scorer = find_scorer("rmse", "regression", bench.catalog)
    assert evaluate(bench.contender("linear-regression"), bench.table, empty, scorer) == Evaluation(None, 0)
    source = SourceSpec(name="table", task="regression", target="y", load=noisy)
    experiment = Experiment(
        name="all", source="table", models=("linear-regression",), holdout=0.0, registry=str(tmp_path)
    )
    done = run(experiment, *board_with(register_sources=[source]))
    assert (done.winner.holdout_score, done.winner.holdout_rows) == (None, 0)
    record = Runs(Registry(str(tmp_path)).store).get(done.number)
    assert (record.status, record.evaluation) == ("published", Evaluation(None, 0).to_dict())
