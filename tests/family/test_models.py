"""The models of plugins on tables that break models: nulls, unknown and single categories, constants, odd labels."""

from __future__ import annotations

import inspect
import io
import pickle
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from pegboard import ModelSpec, SourceSpec, unpickling
from pegboard.catalog import Catalog
from pegboard.frames import conform
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.specs import TASKS

BOOSTED = {"learning_rate": 0.2, "n_estimators": 7, "max_depth": 4, "subsample": 0.5, "colsample_bytree": 0.25}
BOOSTED |= {"reg_alpha": 0.125, "reg_lambda": 2.5, "n_jobs": 2, "random_state": 9}
LEAF_BY_LEAF = {**BOOSTED, "num_leaves": 9, "min_child_samples": 3}
LEVEL_BY_LEVEL = {**BOOSTED, "min_child_weight": 3.5}
BINNED = {"learning_rate": 0.2, "max_iter": 7, "max_leaf_nodes": 9, "max_depth": 4, "min_samples_leaf": 3}
BINNED |= {"l2_regularization": 2.5, "max_features": 0.5, "early_stopping": True, "random_state": 9}
NEAREST = {"n_neighbors": 3, "weights": "distance", "p": 1}
#: Of each model, a value for every parameter of its factory, none of them its default.
VALUES: dict[str, dict[str, Any]] = {
    "elastic-net": {"alpha": 0.5, "l1_ratio": 0.25, "max_iter": 77},
    "elastic-net-classifier": {"C": 3.5, "l1_ratio": 0.25, "max_iter": 77, "tol": 0.01, "random_state": 9},
    "hist-gradient-classifier": {**BINNED, "class_weight": "balanced"},
    "hist-gradient-regressor": {**BINNED, "loss": "absolute_error"},
    "k-neighbors-classifier": NEAREST,
    "k-neighbors-regressor": NEAREST,
    "lightgbm-classifier": {**LEAF_BY_LEAF, "class_weight": "balanced"},
    "lightgbm-regressor": {**LEAF_BY_LEAF, "objective": "regression_l1"},
    "xgboost-classifier": LEVEL_BY_LEVEL,
    "xgboost-regressor": {**LEVEL_BY_LEVEL, "objective": "reg:absoluteerror"},
}
FAMILY = {"PEGBOARD_LOAD_PLUGINS": "hist-gradient,lightgbm,xgboost"}
BOARD = Catalog(load_plugins(environ=FAMILY))
MODELS = [model for task in TASKS for model in BOARD.models(task) if not model.baseline]
REGRESSORS = [model for model in MODELS if model.task == "regression"]
CLASSIFIERS = [model for model in MODELS if model.task == "classification"]
ROWS = 60
KINDS = {
    "area": "number",
    "rooms": "integer",
    "old": "boolean",
    "zone": "category",
    "no number": "number",
    "no text": "category",
    "one number": "number",
    "one text": "category",
    "each once": "category",
}
LABELS: dict[str, list[Any]] = {
    "texts with special characters": ['a "quoted" {label}', "b: é, ü\n", "c [0] <&>"],
    "two texts": ["no", "yes"],
    "booleans": [False, True],
    "integers": [-3, 7, 50],
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    from threadpoolctl import threadpool_limits

    for variable, value in FAMILY.items():
        monkeypatch.setenv(variable, value)
    with threadpool_limits(1):
        yield


def table(target: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    area, zone = rng.uniform(20, 200, ROWS), rng.choice(["RL", "RM", "C (all)"], ROWS).astype(object)
    area[::7], zone[::5] = np.nan, None
    frame = pd.DataFrame({"area": area, "rooms": rng.integers(1, 9, ROWS), "old": rng.random(ROWS) < 0.5, "zone": zone})
    frame["no number"], frame["no text"] = np.nan, pd.Series([None] * ROWS, dtype=object)
    frame["one number"], frame["one text"] = 3.5, "only"
    frame["each once"] = [f"category {number}" for number in range(ROWS)]
    return frame.assign(target=target(np.nan_to_num(area, nan=90.0) + 10 * frame["rooms"].to_numpy()))


def fitted(model: ModelSpec, target: Any = lambda size: size * 1000.0) -> tuple[Predictor, pd.DataFrame]:
    frame = table(target)
    source = SourceSpec(name="t", task=model.task, target="target", features=KINDS, load=lambda: frame)  # type: ignore[arg-type]
    signature = learn_signature(frame, source)
    pipeline = make_pipeline(tabular(signature, model.wants), model.make())
    labels = np.array(list(frame["target"]), dtype=object if isinstance(frame["target"][0], str) else None)
    return Predictor(pipeline.fit(conform(frame, signature), labels), signature), frame


def labelled(labels: list[Any]) -> Any:
    return lambda size: [labels[int(part)] for part in pd.qcut(size, len(labels), labels=False)]


def test_every_parameter_of_every_model_is_tried() -> None:
    assert {model.name: set(inspect.signature(model.make).parameters) for model in MODELS} == {
        name: set(values) for name, values in VALUES.items()
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_every_parameter_reaches_the_estimator_and_survives_clone(model: ModelSpec) -> None:
    for name, value in VALUES[model.name].items():
        held = clone(model.make(**{name: value})).get_params(deep=True)
        assert [v for k, v in held.items() if k.split("__")[-1] == name] == [value], name


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: m.name)
def test_a_regressor_learns_from_a_table_full_of_holes(model: ModelSpec, capfd: pytest.CaptureFixture[str]) -> None:
    predictor, frame = fitted(model)
    answers = predictor.predict(frame).values
    assert float(np.corrcoef(answers, frame["target"])[0, 1]) > 0.7
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda m: m.name)
def test_a_classifier_takes_labels_of_any_kind(
    model: ModelSpec, labels: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    predictor, frame = fitted(model, labelled(labels))
    assert predictor.pipeline.classes_.tolist() == labels
    answers = predictor.predict(frame)
    assert answers.probabilities is not None
    assert answers.probabilities.sum(axis=1) == pytest.approx(np.ones(ROWS), abs=1e-6)
    assert float(np.mean(answers.values == frame["target"].to_numpy())) > 0.6
    assert predictor.pipeline.predict(conform(frame, predictor.signature)).tolist() == answers.values.tolist()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_one_row_with_nulls_and_unknown_categories_is_answered_as_in_a_table(model: ModelSpec) -> None:
    predictor, frame = fitted(model, labelled(["a", "b", "c"]) if model in CLASSIFIERS else lambda size: size * 1000.0)
    rows = frame.head(4)
    changes: list[dict[str, Any]] = [
        {},
        dict.fromkeys(("zone", "one text", "each once"), "never seen"),
        {"area": None, "zone": None},
        {"no number": 5.0, "no text": "suddenly", "one number": -1e30},
    ]
    rows = pd.DataFrame([{**row, **change} for row, change in zip(rows.to_dict("records"), changes, strict=True)])
    together = predictor.predict(rows)
    alone = [predictor.predict(rows.iloc[[number]]) for number in range(4)]
    assert [answer.values[0] for answer in alone] == pytest.approx(list(together.values))
    numbers = together.values if together.probabilities is None else together.probabilities
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_pipeline_loads_under_the_unpickling_policy_with_the_same_answers(model: ModelSpec) -> None:
    predictor, frame = fitted(model, labelled(["a", "b", "c"]) if model in CLASSIFIERS else lambda size: size * 1000.0)
    features = conform(frame, predictor.signature)
    written = io.BytesIO()
    joblib.dump(predictor.pipeline, written)
    for again in (unpickling.load(written.getvalue(), "it"), pickle.loads(pickle.dumps(predictor.pipeline))):
        ask = "predict_proba" if model in CLASSIFIERS else "predict"
        np.testing.assert_array_equal(getattr(again, ask)(features), getattr(predictor.pipeline, ask)(features))
