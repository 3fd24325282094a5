"""Hypothesis strategies for signatures and for tables that fit them.

:func:`frames` come as sources deliver them, target included, in any of the dtypes that pandas gives such data, nulls
where the signature allows them. :func:`tables` are what a model is asked for: features near those of its training.
:func:`points` are parameters of a search space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, ClassLabel, Feature, Signature
from pegboard.space import Choice, Float, Integer, Range
from pegboard.specs import KINDS, TASKS, Task

_NAMES = st.text("abcdefghXYZ_ é", min_size=1, max_size=8)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

#: The dtypes in which a column of a kind may come, without and with nulls.
_DTYPES: dict[str, tuple[list[str], list[str]]] = {
    "number": (["float64", "float32", "object", "Float64"], ["float64", "float32", "object", "Float64"]),
    "integer": (["int64", "float64", "object", "Int64"], ["float64", "object", "Int64"]),
    "boolean": (["bool", "object", "boolean"], ["object", "boolean"]),
    "category": (["object", "str", "string", "category"], ["object", "str", "string", "category"]),
}


@st.composite
def signatures(draw: st.DrawFn, max_features: int = 5, task: Task | None = None) -> Signature:
    """Draw a signature of a task, or of either, with unique column names."""
    names = draw(st.lists(_NAMES, min_size=2, max_size=max_features + 1, unique=True))
    features = tuple(draw(_features(name)) for name in names[1:])
    drawn = draw(st.sampled_from(TASKS)) if task is None else task
    return Signature(drawn, features, names[0], classes=draw(_classes()) if drawn == "classification" else ())


@st.composite
def _features(draw: st.DrawFn, name: str) -> Feature:
    kind, nullable = draw(st.sampled_from(KINDS)), draw(st.booleans())
    if kind != "category":
        return Feature(name, kind, nullable)
    categories = draw(st.lists(_TEXTS, min_size=1, max_size=5, unique=True))
    return Feature(name, kind, nullable, categories=tuple(sorted(categories)))


def _classes() -> st.SearchStrategy[tuple[ClassLabel, ...]]:
    def sets_of(labels: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(labels, min_size=2, max_size=4, unique=True)

    return st.one_of(sets_of(_TEXTS), sets_of(st.integers(-5, 5)), sets_of(st.booleans())).map(
        lambda labels: tuple(sorted(labels))
    )


def values(feature: Feature, largest: float = LARGEST_NUMBER) -> st.SearchStrategy[Any]:
    """Return a strategy for one JSON value that fits a feature, ``None`` included where it is allowed."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "number": st.floats(-largest, largest),
        "integer": st.integers(-int(min(largest, LARGEST_INTEGER)), int(min(largest, LARGEST_INTEGER))),
        "boolean": st.booleans(),
        "category": st.sampled_from(feature.categories) if feature.categories else _TEXTS,
    }
    return st.one_of(kinds[feature.kind], st.none()) if feature.nullable else kinds[feature.kind]


@st.composite
def columns(draw: st.DrawFn, feature: Feature, rows: int, largest: float = LARGEST_NUMBER) -> pd.Series[Any]:
    """Draw a column of a feature in one of the dtypes in which a source may deliver it."""
    drawn = draw(st.lists(values(feature, largest), min_size=rows, max_size=rows))
    without, with_nulls = _DTYPES[feature.kind]
    dtype = draw(st.sampled_from(with_nulls if None in drawn else without))
    with np.errstate(over="ignore"):
        return pd.Series(drawn, name=feature.name, dtype=object).astype(dtype)  # type: ignore[call-overload, no-any-return]


@st.composite
def frames(
    draw: st.DrawFn, signature: Signature, min_rows: int = 20, max_rows: int = 40, largest: float = LARGEST_NUMBER
) -> pd.DataFrame:
    """Draw a table that fits a signature, target included; every class occurs at least twice."""
    rows = draw(st.integers(min_rows, max_rows))
    drawn = {f.name: draw(columns(f, rows, largest)) for f in signature.features}
    drawn[signature.target] = pd.Series(draw(_targets(signature, rows, largest)))
    return pd.DataFrame({name: drawn[name] for name in draw(st.permutations(list(drawn)))})


def _targets(signature: Signature, rows: int, largest: float) -> st.SearchStrategy[list[Any]]:
    if signature.task == "regression":
        return st.lists(st.floats(-largest, largest), min_size=rows, max_size=rows)
    twice = [*signature.classes, *signature.classes]
    rest = st.lists(st.sampled_from(signature.classes), min_size=rows - len(twice), max_size=rows - len(twice))
    return rest.flatmap(lambda labels: st.permutations([*twice, *labels])).map(list)


@st.composite
def tables(
    draw: st.DrawFn, signature: Signature, min_rows: int = 1, max_rows: int = 5, beyond: float = 1.0
) -> pd.DataFrame:
    """Draw a table of features alone, each value :func:`near` what the signature's training has seen."""
    rows = draw(st.integers(min_rows, max_rows))
    drawn = {f.name: draw(st.lists(near(f, beyond), min_size=rows, max_size=rows)) for f in signature.features}
    return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in drawn.items()})


def near(feature: Feature, beyond: float = 1.0) -> st.SearchStrategy[Any]:
    """Return a strategy for a value of a feature: at most so many widths of its range beyond the range."""
    if feature.kind in ("category", "boolean") or feature.minimum is None or feature.maximum is None:
        return values(feature)
    width = beyond * (feature.maximum - feature.minimum)
    low, high = feature.minimum - width, feature.maximum + width
    numbers: st.SearchStrategy[Any] = (
        st.integers(int(low), int(high)) if feature.kind == "integer" else st.floats(low, high)
    )
    return st.one_of(numbers, st.none()) if feature.nullable else numbers


def points(space: Mapping[str, Range]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for one value of each parameter of a search space."""
    return st.fixed_dictionaries({name: _within(values) for name, values in space.items()})


def _within(values: Range) -> st.SearchStrategy[Any]:
    if isinstance(values, Integer):
        return st.integers(values.low, values.high)
    if isinstance(values, Float):
        return st.floats(values.low, values.high)
    if isinstance(values, Choice):
        return st.sampled_from(values.values)
    raise TypeError(f"{values!r} is no range of pegboard.space")
