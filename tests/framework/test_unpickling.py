"""What may be unpickled: every pipeline of scikit-learn and of plugins, and nothing that could act on the machine."""

from __future__ import annotations

import io
import warnings
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import all_estimators

from pegboard.preprocessing import tabular
from pegboard.signature import Feature, Signature
from pegboard.specs import Wants
from pegboard.unpickling import load

RNG = np.random.default_rng(0)
ROWS = 80
TABLE = pd.DataFrame(
    {"area": RNG.uniform(1, 9, ROWS), "rooms": RNG.uniform(1, 5, ROWS), "zone": RNG.choice(["a", "b"], ROWS)}
).astype({"zone": object})
PRICE = 3 * TABLE["area"] + TABLE["rooms"] + 5
DEAR = np.where(PRICE.median() < PRICE, "dear", "cheap")
SIGNATURE = Signature(
    "regression",
    (Feature("area", "number"), Feature("rooms", "number"), Feature("zone", "category", categories=("a", "b"))),
    "price",
)

#: Estimators that take something other than a table and one target: fitted on that, without the preprocessing.
TWO_TARGETS = ("MultiOutput", "MultiTask", "Chain", "CCA", "PLSCanonical")


def dumped(value: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()


def estimator(kind: str, name: str, make: Any) -> Any:
    inner = LinearRegression() if kind == "regressor" else LogisticRegression()
    if name.startswith(("Voting", "Stacking")):
        return make([("one", inner), ("two", clone(inner))])
    if name.endswith("SearchCV"):
        return make(inner, {"fit_intercept": [True, False]})
    if name in ("CCA", "PLSCanonical"):
        return make(n_components=1)
    if name == "QuadraticDiscriminantAnalysis":
        return make(reg_param=0.1)  # one-hot columns are collinear
    if name == "SelfTrainingClassifier":
        return make(inner)
    try:
        return make()
    except TypeError:
        return make(inner)


@pytest.mark.parametrize(
    ("kind", "name", "make"),
    [(kind, *found) for kind in ("regressor", "classifier") for found in all_estimators(kind)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_estimator_of_scikit_learn_comes_back_with_its_preprocessing_and_answers_alike(
    kind: str, name: str, make: Any
) -> None:
    model = estimator(kind, name, make)
    steps = make_pipeline(tabular(SIGNATURE, Wants(scaling=name not in NOT_NEGATIVE, dense=True)), model)
    table, target = TABLE, PRICE if kind == "regressor" else DEAR
    if name == "SelfTrainingClassifier":
        target = (DEAR == "dear").astype(int)  # -1 means "not known" there
    if name == "IsotonicRegression":
        steps, table = make_pipeline(model), TABLE["area"].to_numpy()
    if any(word in name for word in TWO_TARGETS):
        target = np.c_[PRICE, PRICE**2] if kind == "regressor" else np.c_[PRICE > 20, PRICE > 24].astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps.fit(table, target)
        np.testing.assert_array_equal(load(dumped(steps), "here").predict(table), steps.predict(table))


#: These take no negative features, which scaling makes.
NOT_NEGATIVE = ("CategoricalNB", "ComplementNB", "MultinomialNB", "GammaRegressor", "PoissonRegressor")


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(FunctionTransformer(np.log1p, inverse_func=np.expm1), LinearRegression()),
        make_pipeline(SelectKBest(f_regression, k=1), LinearRegression()),
        TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1),
    ],
    ids=["a ufunc", "a score function", "a transformed target"],
)
def test_pipelines_that_hold_functions_of_the_libraries_come_back(model: Any) -> None:
    numbers = TABLE[["area", "rooms"]]
    fitted = model.fit(numbers, PRICE)

    np.testing.assert_array_equal(load(dumped(fitted), "here").predict(numbers), fitted.predict(numbers))


def test_frames_arrays_and_random_states_come_back() -> None:
    frame = TABLE.assign(
        at=pd.Timestamp("2024-05-01", tz="UTC"), kind=pd.Categorical(["x"] * ROWS), n=pd.array([1] * ROWS)
    )
    objects = np.array([{"a": 1}, [np.float64(2)], None, np.array(["x", None], dtype=object)], dtype=object)
    random = np.random.RandomState(3)

    back = load(dumped({"frame": frame, "objects": objects, "random": random}), "here")

    pd.testing.assert_frame_equal(back["frame"], frame)
    assert repr(back["objects"]) == repr(objects)
    assert back["random"].uniform() == random.uniform()
