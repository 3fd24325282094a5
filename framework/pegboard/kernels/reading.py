"""Reading fitted transformers of scikit-learn: each turns the slots before it into those after it.

What a one-hot encoder does with rare and unknown categories is asked of the encoder itself, value by value, so none of
its rules is written here a second time. A transformer, or a setting of one, that is not known is :class:`NotKnown`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from pegboard.kernels.slots import Lookup, Number
from pegboard.preprocessing import NativeColumns
from pegboard.signature import Signature


class NotKnown(Exception):
    """A transformer, or a setting of one, whose rules are not known here."""


@dataclass(frozen=True, slots=True)
class Text:
    """A category that no encoder has met yet; ``missing`` (NaN or a text) stands where it has no value."""

    feature: int
    missing: Any = np.nan


Slots = list[Number | Text | Lookup]


def read(transformers: Iterable[Any], signature: Signature) -> list[Number | Lookup]:
    """Return what fitted transformers make of a signature's canonical columns, in the order of the matrix.

    Raises :class:`NotKnown`.
    """
    features = enumerate(signature.features)
    slots: Slots = [Text(i) if feature.kind == "category" else Number(i, np.nan) for i, feature in features]
    names = [feature.name for feature in signature.features]
    for transformer in _flat(transformers):
        columns = _is(transformer, ColumnTransformer)
        slots = _after_columns(transformer, slots, names) if columns else _after(transformer, slots)
    ready = [slot for slot in slots if not isinstance(slot, Text)]
    if len(ready) < len(slots):
        raise NotKnown("texts reach the estimator")
    return ready


def _flat(transformers: Iterable[Any]) -> Iterator[Any]:
    for transformer in transformers:
        if _is(transformer, Pipeline):
            yield from _flat(step for _, step in transformer.steps)
        else:
            yield transformer


def _is(transformer: Any, kind: type) -> bool:
    return type(transformer) is kind  # a subclass may do something else


def _after_columns(transformer: Any, slots: Slots, names: Sequence[str]) -> Slots:
    """Each block takes some columns; the blocks' results stand side by side."""
    theirs = list(getattr(transformer, "feature_names_in_", names))
    if transformer.transformer_weights or theirs != list(names) or [*map(_width, slots)] != [1] * len(names):
        raise NotKnown("the columns are weighted, or are not the signature's")
    after: Slots = []
    for _, block, columns in transformer.transformers_:
        chosen = [slots[position] for position in _positions(columns, names)]
        if chosen and not (isinstance(block, str) and block == "drop"):
            for step in _flat([block]):
                chosen = _after(step, chosen)
            after += chosen
    return after


def _positions(columns: Any, names: Sequence[str]) -> list[int]:
    """Return the positions of a block's columns, which are names, numbers, a mask or a slice."""
    if isinstance(columns, slice):
        return list(range(len(names)))[columns]
    listed = list(columns)
    if all(isinstance(column, str) for column in listed):
        return [names.index(column) for column in listed]
    positions: list[int] = np.arange(len(names))[listed].tolist()
    return positions


def _after(transformer: Any, slots: Slots) -> Slots:
    if isinstance(transformer, str) and transformer == "passthrough":
        return slots
    if _is(transformer, FunctionTransformer) and transformer.func is None:
        return slots
    for kind, after in _KNOWN.items():
        if _is(transformer, kind) and transformer.n_features_in_ == sum(map(_width, slots)):
            return after(transformer, slots)
    raise NotKnown(f"{type(transformer).__name__} is not known")


def _width(slot: Number | Text | Lookup) -> int:
    return slot.rows.shape[1] if isinstance(slot, Lookup) else 1


def _imputed(imputer: Any, slots: Slots) -> Slots:
    if imputer.add_indicator or not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise NotKnown("the imputer looks for something else")
    kept = imputer.keep_empty_features or imputer.strategy == "constant"
    return [
        _filled(slot, value)
        for slot, value in zip(slots, imputer.statistics_.tolist(), strict=True)
        if kept or not pd.isna(value)
    ]


def _filled(slot: Number | Text | Lookup, value: Any) -> Number | Text:
    if isinstance(slot, Number) and isinstance(value, int | float):
        return replace(slot, missing=float(value)) if np.isnan(slot.missing) else slot
    if isinstance(slot, Text) and isinstance(value, str):
        return replace(slot, missing=value) if pd.isna(slot.missing) else slot
    raise NotKnown("the imputer fills in something else")


def _scaled(scaler: Any, slots: Slots) -> Slots:
    after: Slots = []
    width = scaler.n_features_in_
    means = np.zeros(width) if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
    scales = np.ones(width) if scaler.scale_ is None else scaler.scale_
    start = 0
    for slot in slots:
        part = slice(start, start := start + _width(slot))
        if isinstance(slot, Lookup):
            after.append(Lookup(slot.feature, slot.keys, (slot.rows - means[part]) / scales[part]))
        elif isinstance(slot, Number) and not slot.scaled:
            mean, scale = float(means[part.start]), float(scales[part.start])
            after.append(Number(slot.feature, (slot.missing - mean) / scale, mean, scale))
        else:
            raise NotKnown("texts, or numbers that are scaled already, are scaled")
    return after


def _one_hot(encoder: Any, slots: Slots) -> Slots:
    if any(isinstance(slot, Lookup) or (isinstance(slot, Number) and slot.scaled) for slot in slots):
        raise NotKnown("what is encoded is no value of a feature any more")
    known = [[value for value in values.tolist() if not pd.isna(value)] for values in encoder.categories_]
    asked = [[*values, slot.missing, _unknown(values)] for slot, values in zip(slots, known, strict=True)]  # type: ignore[union-attr]
    answers = _ask(encoder, asked)
    owners = _owners(encoder)
    return [
        Lookup(slot.feature, values, answers[: len(values) + 2, owners == position])
        for position, (slot, values) in enumerate(zip(slots, known, strict=True))
    ]


def _unknown(values: Sequence[Any]) -> Any:
    """Return a value that is none of these."""
    if values and not any(isinstance(value, str) for value in values):
        return next(number for number in count(0.5) if number not in values)
    return next(text for number in count() if (text := f"unknown {number}") not in values)


def _ask(encoder: Any, asked: Sequence[Sequence[Any]]) -> npt.NDArray[np.float64]:
    """Return the encoder's rows for columns of values, shorter columns filled up with their last value."""
    rows = max(map(len, asked))
    table = pd.DataFrame(
        {
            position: pd.Series([*values, *[values[-1]] * (rows - len(values))], dtype=_dtype(values))
            for position, values in enumerate(asked)
        }
    )
    table.columns = getattr(encoder, "feature_names_in_", table.columns)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are unknown categories is why it is asked
            answers = encoder.transform(table)
    except ValueError as error:
        raise NotKnown(f"the encoder refuses what is unknown: {error}") from error
    return np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers, dtype=np.float64)


def _dtype(values: Sequence[Any]) -> Any:
    return object if any(isinstance(value, str) for value in values) else np.float64


def _owners(encoder: Any) -> npt.NDArray[np.intp]:
    """Return, for each column of the encoder's matrix, the position of the column that it was made from."""
    twin = copy.copy(encoder).set_params(feature_name_combiner=lambda feature, _: feature)
    names = getattr(encoder, "feature_names_in_", [f"x{position}" for position in range(encoder.n_features_in_)])
    position = {name: number for number, name in enumerate(names)}
    return np.array([position[name] for name in twin.get_feature_names_out()], dtype=np.intp)


def _native(columns: Any, slots: Slots) -> Slots:
    given = zip(slots, columns.categories_, columns.missing_, strict=True)
    return [_filled(slot, missing) if known is None else _coded(slot, known) for slot, known, missing in given]


def _coded(slot: Number | Text | Lookup, known: Sequence[str]) -> Lookup:
    """Return the positions of categories; what is missing and what is unknown are NaN."""
    if not isinstance(slot, Text) or not pd.isna(slot.missing):
        raise NotKnown("what becomes a category is no text any more")
    return Lookup(slot.feature, known, np.array([*range(len(known)), np.nan, np.nan])[:, None])


_KNOWN = {SimpleImputer: _imputed, StandardScaler: _scaled, OneHotEncoder: _one_hot, NativeColumns: _native}
