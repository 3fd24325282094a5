"""The compiled preprocessing: the matrix of the fitted transformers to the last bit, whatever they are made of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from pegboard.frames import as_frame, from_rows
from pegboard.kernels import Encoder
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature

SIGNATURE = Signature(
    "regression",
    (
        Feature("area", "number", nullable=True),
        Feature("zone", "category", nullable=True, categories=("", "a", "b", "rare", "z")),
        Feature("rooms", "integer"),
        Feature("garage", "boolean", nullable=True),
        Feature("street", "category", categories=("main", "side")),
        Feature("empty", "number", nullable=True),
        Feature("same", "number"),
    ),
    "price",
)
NUMBERS, TEXTS = ["area", "rooms", "garage", "same"], ["zone", "street"]
ROWS: list[list[Any]] = [
    [
        None if number % 7 == 3 else number * 1.7 + 0.1,
        (None, "a", "b", "a", "z", "b", "", "rare")[number % 8 if number < 33 else 1 + number % 2],
        number % 5,
        None if number % 9 == 2 else number % 2 == 0,
        "main" if number % 3 else "side",
        None,
        4.25,
    ]
    for number in range(60)
]
EDGES: list[list[Any]] = [
    [None, None, 0, None, "main", None, 4.25],
    [LARGEST_NUMBER, "never seen", LARGEST_INTEGER, True, "nor this", 3.0, -LARGEST_NUMBER],
    [-0.0, "unknown 0", -LARGEST_INTEGER, False, "", -1e300, 1e-300],
    [1, "NaN", 4, None, "None", None, 4],
]


def hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **settings})


def impute(**settings: Any) -> SimpleImputer:
    return SimpleImputer(**{"strategy": "median", "keep_empty_features": True, **settings})


def beside(*blocks: Any, **settings: Any) -> ColumnTransformer:
    return ColumnTransformer([(f"block {n}", *block) for n, block in enumerate(blocks)], **settings)


def text_imputer(**settings: Any) -> SimpleImputer:
    return SimpleImputer(**{"strategy": "most_frequent", **settings})


KNOWN: dict[str, Any] = {
    "numbers and texts": beside((impute(), NUMBERS), (hot(), TEXTS)),
    "texts before numbers": beside((hot(), TEXTS), (make_pipeline(impute(), StandardScaler()), NUMBERS)),
    "texts between numbers": beside((impute(), ["area"]), (hot(), ["zone"]), (StandardScaler(), ["same", "rooms"])),
    "scaled, then imputed": beside((make_pipeline(StandardScaler(), impute(strategy="mean")), NUMBERS)),
    "nulls stay": beside((StandardScaler(), NUMBERS), ("passthrough", ["area"])),
    "only centred, only divided": beside(
        (StandardScaler(with_std=False), NUMBERS), (StandardScaler(with_mean=False), NUMBERS)
    ),
    "an empty column is dropped": beside((impute(keep_empty_features=False), ["area", "empty", "rooms"])),
    "an empty column is kept": beside((impute(), ["empty", "area"])),
    "a constant for nulls": beside((impute(strategy="constant", fill_value=-1.5), ["empty", "area", "garage"])),
    "imputed texts": beside((make_pipeline(text_imputer(), hot()), TEXTS)),
    "a constant text for nulls": beside(
        (make_pipeline(text_imputer(strategy="constant", fill_value="?"), hot()), TEXTS)
    ),
    "rare categories": beside((hot(handle_unknown="infrequent_if_exist", min_frequency=6), TEXTS)),
    "few categories": beside((hot(handle_unknown="infrequent_if_exist", max_categories=2), TEXTS)),
    "unknown ones are warned of": beside((hot(handle_unknown="warn", min_frequency=6), TEXTS)),
    "the first is dropped": beside((hot(drop="first"), TEXTS)),
    "binary ones are dropped": beside((hot(drop="if_binary", handle_unknown="infrequent_if_exist"), TEXTS)),
    "numbers as categories": beside((hot(), ["rooms", "garage"]), (hot(min_frequency=9), ["rooms"])),
    "imputed numbers as categories": beside((make_pipeline(impute(strategy="most_frequent"), hot()), ["garage"])),
    "categories are scaled": beside((make_pipeline(hot(), StandardScaler()), TEXTS), (impute(), NUMBERS)),
    "float32 and sparse": beside((hot(sparse_output=True, dtype=np.float32), TEXTS), sparse_threshold=1.0),
    "numbers alone": beside(("passthrough", NUMBERS)),
    "dropped": beside(("drop", TEXTS), (impute(), NUMBERS), (hot(), [])),
    "a rest": beside((hot(), TEXTS), ("drop", ["empty"]), remainder=impute()),
    "a rest that passes": beside((hot(), TEXTS), remainder="passthrough"),
    "columns by number": beside((impute(), [0, 2]), (hot(), [-3])),
    "columns by slice and mask": beside(
        (impute(), slice(2, 4)), (hot(), [name in TEXTS for name in ["x", "zone"]] + [False] * 5)
    ),
    "nested": make_pipeline(
        beside((Pipeline([("a", "passthrough"), ("b", impute())]), NUMBERS), (hot(), TEXTS)), StandardScaler()
    ),
    "scaled together": make_pipeline(beside((impute(), NUMBERS), (hot(), TEXTS)), StandardScaler()),
}


class Shouting(StandardScaler):  # type: ignore[misc]
    """A subclass that does something else."""

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        return super().transform(X) * 2


UNKNOWN: dict[str, Any] = {
    "another transformer": beside((MinMaxScaler(), ["rooms"])),
    "ordinal categories": beside((OrdinalEncoder(), ["street"])),
    "a subclass": beside((Shouting(), NUMBERS)),
    "a function": beside((FunctionTransformer(np.log1p), ["area"])),
    "unknown categories are errors": beside((hot(handle_unknown="error"), TEXTS)),
    "an indicator of nulls": beside((impute(add_indicator=True), NUMBERS)),
    "another null": beside((impute(missing_values=0), ["rooms"])),
    "weights": beside((impute(), NUMBERS), (hot(), TEXTS), transformer_weights={"block 0": 2.0}),
    "scaled twice": beside((make_pipeline(StandardScaler(), StandardScaler()), ["rooms"])),
    "scaled, then encoded": beside((make_pipeline(StandardScaler(), hot()), ["rooms"])),
    "imputed after encoding": beside((make_pipeline(hot(), impute()), TEXTS)),
}


def fitted(transformer: Any) -> Any:
    columns = from_rows(ROWS, SIGNATURE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns without a value
        return make_pipeline(transformer, DummyRegressor()).fit(as_frame(columns, SIGNATURE), np.arange(len(ROWS)))


@pytest.mark.parametrize("name", KNOWN)
def test_a_row_and_a_table_are_encoded_to_the_last_bit(name: str) -> None:
    pipeline = fitted(KNOWN[name])
    encoder = Encoder.of(pipeline, SIGNATURE)
    assert encoder is not None
    rows = ROWS + EDGES
    columns = from_rows(rows, SIGNATURE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown categories, if that is asked for
        expected = pipeline[:-1].transform(as_frame(columns, SIGNATURE))
    expected = expected.toarray() if hasattr(expected, "toarray") else np.asarray(expected, dtype=float)
    assert encoder.width == expected.shape[1]
    np.testing.assert_array_equal(encoder.many(columns), expected)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(encoder.many(columns, np.float32), expected.astype(np.float32))
    one = [encoder.one(row) for row in rows]
    np.testing.assert_array_equal(np.array([[np.nan if v is None else v for v in row] for row in one]), expected)
    assert {type(value) for row in one for value in row} == {float}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_not_compiled(name: str) -> None:
    assert Encoder.of(fitted(UNKNOWN[name]), SIGNATURE) is None


def test_texts_that_reach_the_estimator_are_not_compiled() -> None:
    assert Encoder.of(fitted(beside(("passthrough", TEXTS))), SIGNATURE) is None


def test_an_estimator_alone_gets_the_columns_as_they_are() -> None:
    numbers = Signature("regression", (Feature("x", "number"), Feature("n", "integer")), "y")
    encoder = Encoder.of(DummyRegressor(), numbers)
    assert encoder is not None
    assert encoder.one([2.5, 3, "a key"]) == [2.5, 3.0]
    np.testing.assert_array_equal(encoder.many(from_rows([[2.5, 3]], numbers)), [[2.5, 3.0]])


def test_columns_of_another_signature_are_not_compiled() -> None:
    other = Signature("regression", SIGNATURE.features[::-1], "price")
    assert Encoder.of(fitted(KNOWN["numbers and texts"]), other) is None


def test_an_encoder_leaves_the_fitted_objects_as_they_were() -> None:
    pipeline = fitted(KNOWN["rare categories"])
    before = pipeline[0].get_feature_names_out().tolist()
    Encoder.of(pipeline, SIGNATURE)
    assert pipeline[0].get_feature_names_out().tolist() == before
    assert pipeline[0].transformers_[0][1].feature_name_combiner == "concat"
