"""Whatever table fits a signature can be learned from and predicted for; whatever does not is refused by name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import ModelSpec, PreprocessorSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.errors import PegboardError, SignatureError
from pegboard.fingerprint import row_shares
from pegboard.frames import conform
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.signature import Signature
from pegboard.testing.strategies import frames, signatures
from pegboard.training.candidate import Contender
from pegboard.training.values import Table

CATALOG = Catalog(load_plugins())
MODELS = [model for task in ("regression", "classification") for model in CATALOG.models(task)]
SMALL = {"random-forest-regressor": {"n_estimators": 5}, "random-forest-classifier": {"n_estimators": 5}}


def source(signature: Signature) -> SourceSpec:
    kinds = {feature.name: feature.kind for feature in signature.features}
    return SourceSpec(name="any", task=signature.task, target=signature.target, load=pd.DataFrame, features=kinds)


def trained(model: ModelSpec, frame: pd.DataFrame, declared: Signature) -> Predictor:
    signature = learn_signature(frame, source(declared))
    table = Table.of(frame, signature)
    contender = Contender(model, CATALOG.get(PreprocessorSpec, "tabular"), signature, 0, SMALL.get(model.name, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns, and fits that do not converge on noise
        return Predictor(contender.build().fit(table.features, table.target), signature)


def numbers(predictor: Predictor, frame: pd.DataFrame) -> Any:
    predictions = predictor.predict(frame)
    return predictions.values if predictions.probabilities is None else predictions.probabilities


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@settings(max_examples=40)
@given(data=st.data())
def test_every_model_learns_from_every_table_that_fits_a_signature(model: ModelSpec, data: st.DataObject) -> None:
    declared = data.draw(signatures().filter(lambda s: s.task == model.task))
    frame = data.draw(frames(declared))
    predictor = trained(model, frame, declared)
    answers = numbers(predictor, frame)
    assert answers.shape[0] == len(frame)
    assert np.isfinite(answers).all()
    if model.task == "classification":
        assert predictor.pipeline.classes_.tolist() == list(predictor.signature.classes)
        assert answers.sum(axis=1) == pytest.approx(np.ones(len(frame)))
        assert set(predictor.predict(frame).values) <= set(predictor.signature.classes)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@settings(max_examples=15)
@given(data=st.data())
def test_predictions_depend_on_neither_order_nor_batch(model: ModelSpec, data: st.DataObject) -> None:
    declared = data.draw(signatures().filter(lambda s: s.task == model.task))
    # Beyond some 1e6 a difference of two large terms may leave less than nine digits, in any arithmetic.
    frame = data.draw(frames(declared, largest=1e6))
    predictor = trained(model, frame, declared)
    whole = numbers(predictor, frame)
    scale = max(1.0, float(np.abs(whole).max()))

    def same(other: Any, expected: Any) -> None:
        np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-9 * scale)

    rows = np.array(data.draw(st.permutations(range(len(frame)))))
    same(numbers(predictor, frame.iloc[rows]), whole[rows])
    np.testing.assert_array_equal(numbers(predictor, frame[data.draw(st.permutations(list(frame)))]), whole)
    cut = data.draw(st.integers(1, len(frame) - 1))
    same(np.concatenate([numbers(predictor, frame[:cut]), numbers(predictor, frame[cut:])]), whole)
    one = data.draw(st.integers(0, len(frame) - 1))
    same(numbers(predictor, frame.iloc[[one]]), whole[[one]])


@given(data=st.data())
def test_a_table_that_does_not_fit_is_refused_by_name(data: st.DataObject) -> None:
    declared = data.draw(signatures())
    frame = data.draw(frames(declared, min_rows=20, max_rows=20)).reset_index(drop=True)
    signature = learn_signature(frame, source(declared))
    feature = data.draw(st.sampled_from(signature.features))
    row = data.draw(st.integers(0, len(frame) - 1))
    wrong = {"number": "x", "integer": 0.5, "boolean": 2, "category": 3}[feature.kind]
    spoiled = frame.astype({feature.name: object})
    spoiled.at[row, feature.name] = wrong
    with pytest.raises(SignatureError) as refused:
        conform(spoiled, signature)
    assert [(p.row, p.field) for p in refused.value.problems] == [(row, feature.name)]
    with pytest.raises(SignatureError, match="the column is missing"):
        conform(frame.drop(columns=feature.name), signature)
    if not feature.nullable:
        spoiled.at[row, feature.name] = None
        with pytest.raises(SignatureError, match="is null: the training data has no nulls here"):
            conform(spoiled, signature)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_numbers_that_float32_cannot_hold_are_refused(value: float) -> None:
    frame = pd.DataFrame({"x": [1.0, value], "y": [1.0, 2.0]})
    signature = learn_signature(frame, SourceSpec(name="s", task="regression", target="y", load=pd.DataFrame))
    with pytest.raises(SignatureError, match=r"row 1, x: .* is not a finite number"):
        conform(frame, signature)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.to_datetime(["2026-01-01", "2026-01-02"]), "datetime64"),
        ([1, "a"], "mixed-integer"),
        ([1j, 2j], "complex"),
        ([[1], [2]], "mixed"),
    ],
)
def test_columns_of_other_kinds_are_refused_with_the_remedy(column: Any, kind: str) -> None:
    frame = pd.DataFrame({"when": column, "y": [1.0, 2.0]})
    with pytest.raises(PegboardError, match=f"column 'when' holds {kind} values.*convert or drop it in the source"):
        learn_signature(frame, SourceSpec(name="s", task="regression", target="y", load=pd.DataFrame))


@given(data=st.data(), share=st.floats(0.1, 0.5))
def test_hold_out_membership_belongs_to_the_row_alone(data: st.DataObject, share: float) -> None:
    frame = data.draw(frames(data.draw(signatures()), max_rows=30))
    columns = [frame[name].astype(object).fillna("").astype(str).to_numpy(dtype=object) for name in frame]
    members = row_shares(columns, len(frame)) < share
    rows = np.array(data.draw(st.lists(st.sampled_from(range(len(frame))), min_size=1)))
    again = row_shares([column[rows] for column in columns], len(rows)) < share
    np.testing.assert_array_equal(again, members[rows])


def test_hold_out_membership_is_pinned() -> None:
    # A change here would let a challenger meet rows that the champion was trained on.
    shares = row_shares([np.array([1, 2, 3]), np.array(["a", "b", np.nan], dtype=object)], 3)
    assert shares.tolist() == [0.5712500167321295, 0.15428199317544156, 0.758915013119907]


def test_the_same_keys_are_held_out_whatever_their_dtype() -> None:
    integers = row_shares([np.array([1, 2, 3])], 3)
    np.testing.assert_array_equal(row_shares([np.array([1.0, 2.0, 3.0])], 3), integers)
    np.testing.assert_array_equal(row_shares([np.array([1, 2, 3], dtype=object)], 3), integers)


def test_about_the_share_that_was_asked_for_is_held_out() -> None:
    assert float(np.mean(row_shares([np.arange(20_000)], 20_000) < 0.2)) == pytest.approx(0.2, abs=0.01)
