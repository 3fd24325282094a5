"""Columns as they are: what models that know categories and missing values get, and that the compiled form agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline

from pegboard import Wants
from pegboard.frames import as_frame, conform, from_rows, to_records, to_rows
from pegboard.kernels import Encoder
from pegboard.preprocessing import MOST_NATIVE, NativeColumns, tabular
from pegboard.signature import Feature, Signature
from pegboard.testing.strategies import frames, signatures

HOUSES = Signature("regression", (Feature("area", "number", True), Feature("zone", "category", True)), "price")


def houses(areas: list[float | None], zones: list[str | None]) -> pd.DataFrame:
    return as_frame(from_rows(list(zip(areas, zones, strict=True)), HOUSES), HOUSES)


def native() -> NativeColumns:
    made: NativeColumns = tabular(HOUSES, Wants(native=True))
    return made


def test_numbers_stay_and_texts_become_numbered_categories_in_sorted_order() -> None:
    given_frame = houses([1.5, None, 3.0], ["RM", None, "C [all]"])
    columns = native().fit(given_frame).transform(given_frame)
    assert columns.columns.tolist() == ["f0", "f1"]
    np.testing.assert_array_equal(columns["f0"], [1.5, np.nan, 3.0])
    assert columns["f1"].cat.categories.tolist() == [0, 1]
    assert columns["f1"].cat.codes.tolist() == [1, -1, 0]


def test_a_category_that_the_fit_has_not_seen_is_missing() -> None:
    fitted = native().fit(houses([1.0, 2.0], ["RL", "RM"]))
    assert fitted.transform(houses([1.0, 2.0], ["never", "RM"]))["f1"].cat.codes.tolist() == [-1, 1]


def test_the_most_frequent_categories_are_kept_and_of_equally_frequent_ones_the_first_in_order() -> None:
    names = [f"{number:04}" for number in range(MOST_NATIVE + 50)]
    zones: list[str | None] = [*reversed(names), *names[-10:]]
    (kept,) = [known for known in native().fit(houses([1.0] * len(zones), zones)).categories_ if known is not None]
    assert kept == [*names[: MOST_NATIVE - 10], *names[-10:]]


def test_a_text_column_without_any_value_has_one_category_that_is_never_there() -> None:
    fitted = native().fit(houses([1.0, 2.0], [None, None]))
    assert fitted.transform(houses([1.0], ["RL"]))["f1"].cat.codes.tolist() == [-1]
    assert fitted.transform(houses([1.0], ["RL"]))["f1"].cat.categories.tolist() == [0]


def test_a_number_that_the_fit_has_never_seen_is_zero_where_it_is_missing() -> None:
    frame = houses([None, None], ["RL", "RM"])
    pipeline = make_pipeline(native(), DummyRegressor()).fit(frame, [0.0, 1.0])
    encoder = Encoder.of(pipeline, HOUSES)
    assert encoder is not None
    assert pipeline[0].transform(houses([None, 7.0], ["RL", "RM"]))["f0"].tolist() == [0.0, 7.0]
    assert [encoder.one([None, "RL"]), encoder.one([7.0, "RM"])] == [[0.0, 0.0], [7.0, 1.0]]


def test_columns_are_found_by_name_and_the_index_is_kept() -> None:
    frame = houses([1.0, 2.0], ["RL", "RM"]).set_index(pd.Index([7, 3]))
    fitted = native().fit(frame)
    pd.testing.assert_frame_equal(fitted.transform(frame[["zone", "area"]]), fitted.transform(frame))
    assert fitted.transform(frame).index.tolist() == [7, 3]
    with pytest.raises(KeyError, match="zone"):
        fitted.transform(frame[["area"]])


def test_neither_fit_nor_transform_changes_the_table_and_clone_forgets_the_fit() -> None:
    frame = houses([1.0, None], ["RL", None])
    before = frame.copy()
    fitted = native().fit(frame)
    fitted.transform(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert vars(clone(fitted)) == {"categorical": ["zone"]}


@given(st.data())
def test_the_compiled_form_gives_the_same_numbers_for_rows_and_tables(data: st.DataObject) -> None:
    signature = data.draw(signatures())
    features = conform(data.draw(frames(signature)), signature)
    pipeline = make_pipeline(tabular(signature, Wants(native=True)), DummyRegressor())
    pipeline.fit(features, np.zeros(len(features)))
    encoder = Encoder.of(pipeline, signature)
    assert encoder is not None
    expected = numbers(pipeline[0].transform(features))
    rows = to_rows(to_records(features, signature), signature)
    np.testing.assert_array_equal([encoder.one(row) for row in rows], expected)
    np.testing.assert_array_equal(encoder.many(from_rows(rows, signature)), expected)


def numbers(columns: pd.DataFrame) -> Any:
    def plain(column: pd.Series[Any]) -> Any:
        codes = column.cat.codes.to_numpy(dtype=float) if column.dtype == "category" else column.to_numpy()
        return np.where(codes < 0, np.nan, codes) if column.dtype == "category" else codes

    return np.stack([plain(columns[name]) for name in columns], axis=1)
