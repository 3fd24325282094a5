"""Learning a signature from a training table and from what its source declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pegboard.errors import DataError
from pegboard.frames import canonical, plain_label
from pegboard.signature import MOST_CATEGORIES, ClassLabel, Feature, Signature
from pegboard.specs import Kind, SourceSpec


def learn_signature(frame: pd.DataFrame, source: SourceSpec) -> Signature:
    """Learn a signature; columns that are declared but missing or mistyped are left for validation to report."""
    if unnamed := [name for name in frame.columns if not isinstance(name, str)]:
        raise DataError(f"source {source.name!r} delivers columns whose names are no texts: {unnamed[:5]}")
    if not frame.columns.is_unique:
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise DataError(f"source {source.name!r} delivers columns more than once: {', '.join(twice)}")
    roles = {*source.keys, source.target}
    declared: Mapping[str, Kind] = source.features or {
        name: infer_kind(frame[name]) for name in frame.columns if name not in roles
    }
    if not declared:
        raise DataError(f"source {source.name!r} delivers no features beside its keys and target")
    features = tuple(_learn_feature(frame, name, kind) for name, kind in declared.items())
    classes = _learn_classes(frame, source) if source.task == "classification" else ()
    return Signature(source.task, features, source.target, tuple(source.keys), classes)


def _learn_feature(frame: pd.DataFrame, name: str, kind: Kind) -> Feature:
    if name not in frame:
        return Feature(name, kind)
    values, bad = canonical(frame[name], kind)
    present = values[~pd.isna(values)]
    nullable = len(present) < len(values)
    if bad.any() or not len(present):
        return Feature(name, kind, nullable)
    if kind == "category":
        seen = sorted(set(present))
        return Feature(name, kind, nullable, categories=tuple(seen) if len(seen) <= MOST_CATEGORIES else None)
    return Feature(name, kind, nullable, float(present.min()), float(present.max()))


def _learn_classes(frame: pd.DataFrame, source: SourceSpec) -> tuple[ClassLabel, ...]:
    if source.target not in frame:
        return ()
    labels = {plain_label(value) for value in frame[source.target].dropna().unique()}
    if any(isinstance(label, float) for label in labels):
        raise DataError(f"target {source.target!r} has fractional values, so it cannot name classes")
    if other := {type(label).__name__ for label in labels if not isinstance(label, str | int)}:
        raise DataError(
            f"target {source.target!r} holds {', '.join(other)} values: classes are texts, integers or booleans"
        )
    if len({type(label) for label in labels}) > 1:
        raise DataError(f"target {source.target!r} mixes texts, numbers and booleans as classes")
    return tuple(sorted(labels))


def infer_kind(column: pd.Series[Any]) -> Kind:
    """Return the kind of a column by its dtype, and by its values where the dtype is object."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return infer_kind(pd.Series(dtype.categories))
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(dtype):
        return "integer"
    if pd.api.types.is_float_dtype(dtype):
        return "number"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    kinds: dict[str, Kind] = {
        "string": "category",
        "boolean": "boolean",
        "integer": "integer",
        "floating": "number",
        "mixed-integer-float": "number",
        "empty": "category",
    }
    if inferred not in kinds:
        raise DataError(
            f"column {column.name!r} holds {inferred} values: a feature is a number, an integer, a boolean or a "
            "text; convert or drop it in the source"
        )
    return kinds[inferred]
