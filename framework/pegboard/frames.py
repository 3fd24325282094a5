"""Tables in canonical form: what every pipeline is fitted on and asked with.

The canonical form is float64 for numbers, integers and booleans, and object columns of ``str`` for categories,
with NaN for what is missing. It is the same for one row and for a million, for CSV, Parquet and JSON, so a pipeline
never sees what pandas happened to infer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.errors import Problem, SignatureError, did_you_mean
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature
from pegboard.specs import Kind

#: At most this many rows are named for one column; the rest are counted.
MOST_EXAMPLES = 5

Column = npt.NDArray[Any]


def canonical(column: pd.Series[Any], kind: Kind) -> tuple[Column, npt.NDArray[np.bool_]]:
    """Return the column's canonical values and a mask of those that do not fit the kind (NaN in the values)."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    return _canonical_text(column) if kind == "category" else _canonical_number(column, kind)


def _canonical_text(column: pd.Series[Any]) -> tuple[Column, npt.NDArray[np.bool_]]:
    missing = column.isna().to_numpy(dtype=bool)
    values = column.to_numpy(dtype=object, copy=True)
    values[missing] = np.nan
    try:
        # The usual case, in compiled code; only a column that is not all valid texts is looked at value by value.
        "".join(values[~missing]).encode()
    except (TypeError, UnicodeEncodeError):
        check = Feature(str(column.name), "category").problem
    else:
        return values, np.zeros(len(values), dtype=bool)
    bad = np.fromiter((check(v) is not None for v in values), dtype=bool, count=len(values)) & ~missing
    values[bad] = np.nan
    return values, bad


def _canonical_number(column: pd.Series[Any], kind: Kind) -> tuple[Column, npt.NDArray[np.bool_]]:
    missing = column.isna().to_numpy(dtype=bool)
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    if not (is_bool or pd.api.types.is_numeric_dtype(column.dtype)):
        return _canonical_objects(column, kind, missing)
    if pd.api.types.is_complex_dtype(column.dtype) or is_bool != (kind == "boolean"):
        return np.full(len(column), np.nan), ~missing
    values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    return _within(values, kind, missing)


def _canonical_objects(
    column: pd.Series[Any], kind: Kind, missing: npt.NDArray[np.bool_]
) -> tuple[Column, npt.NDArray[np.bool_]]:
    """Read an object column value by value, as a JSON value of the kind would be."""
    check = Feature(str(column.name), kind, nullable=True).problem
    objects = [None if gone else _plain(v) for v, gone in zip(column, missing, strict=True)]
    bad = np.fromiter((check(v) is not None for v in objects), dtype=bool, count=len(objects))
    values = np.array(
        [np.nan if v is None or wrong else float(v) for v, wrong in zip(objects, bad, strict=True)],
        dtype=np.float64,
    )
    return values, bad


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _within(
    values: npt.NDArray[np.float64], kind: Kind, missing: npt.NDArray[np.bool_]
) -> tuple[Column, npt.NDArray[np.bool_]]:
    limit = LARGEST_INTEGER if kind == "integer" else LARGEST_NUMBER
    fits = np.abs(values) <= limit
    if kind == "integer":
        fits &= values == np.floor(values)
    bad = ~fits & ~missing
    values[bad] = np.nan
    return values, bad


def conform(frame: pd.DataFrame, signature: Signature) -> pd.DataFrame:
    """Return the features of ``frame`` in canonical form; other columns are ignored.

    Columns come in signature order: number, integer and boolean as float64, categories as object; missing values
    are NaN in both. Raises :class:`~pegboard.errors.SignatureError` with every problem found.
    """
    return as_frame(conform_columns(frame, signature), signature, frame.index)


def conform_columns(frame: pd.DataFrame, signature: Signature) -> list[Column]:
    """Return the arrays of :func:`conform`, without the frame around them."""
    problems: list[Problem] = []
    total = 0
    columns: list[Column] = []
    for feature in signature.features:
        if problem := _column_problem(frame, feature.name):
            problems.append(Problem(None, feature.name, problem))
            total += 1
            continue
        values, bad = canonical(frame[feature.name], feature.kind)
        columns.append(values)
        for rows, describe in _complaints(frame[feature.name], feature, values, bad):
            problems += [Problem(int(row), feature.name, describe(int(row))) for row in rows[:MOST_EXAMPLES]]
            total += len(rows)
    if problems:
        raise SignatureError(sorted(problems, key=lambda p: -1 if p.row is None else p.row), total)
    return columns


def _column_problem(frame: pd.DataFrame, name: str) -> str | None:
    if name not in frame:
        return f"the column is missing{did_you_mean(name, map(str, frame.columns))}"
    return "the column comes more than once" if isinstance(frame[name], pd.DataFrame) else None


def _complaints(
    column: pd.Series[Any], feature: Feature, values: Column, bad: npt.NDArray[np.bool_]
) -> Iterable[tuple[npt.NDArray[np.intp], Callable[[int], str]]]:
    yield np.flatnonzero(bad), lambda row: f"{_plain(column.iloc[row])!r} is not {_article(feature.kind)}"
    if not feature.nullable:
        null = np.flatnonzero(pd.isna(values) & ~bad)
        yield null, lambda _: "is null: the training data has no nulls here"


def _article(kind: Kind) -> str:
    return {
        "number": "a finite number",
        "integer": "an integer below 2**53 in magnitude",
        "boolean": "a boolean",
        "category": "a text",
    }[kind]


def target_values(frame: pd.DataFrame, signature: Signature) -> Column:
    """Return the target as an array: float64 for regression, the classes' own type for classification."""
    name = signature.target
    if name not in frame:
        raise SignatureError([Problem(None, name, "the target column is missing")])
    if signature.task == "classification":
        return _class_values(frame[name], signature)
    values, bad = canonical(frame[name], "number")
    wrong = np.flatnonzero(bad | np.isnan(values))
    _refuse_target(frame[name], wrong, "the target must be a finite number")
    return values


def plain_label(value: Any) -> Any:
    """Return a class label or a key as Python's own value; a whole number is an ``int`` however it is stored."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _class_values(column: pd.Series[Any], signature: Signature) -> Column:
    known = set(signature.classes)
    labels = [plain_label(value) for value in column]
    wrong = np.flatnonzero([pd.isna(label) or label not in known for label in labels])
    _refuse_target(column, wrong, "the target must be one of the classes")
    # Texts stay objects: a fixed-width numpy string would cut and copy them.
    dtype = object if signature.classes and isinstance(signature.classes[0], str) else None
    return np.array(labels, dtype=dtype)


def _refuse_target(column: pd.Series[Any], wrong: npt.NDArray[np.intp], rule: str) -> None:
    if len(wrong):
        problems = [
            Problem(int(r), str(column.name), f"{rule}, not {_plain(column.iloc[r])!r}") for r in wrong[:MOST_EXAMPLES]
        ]
        raise SignatureError(problems, len(wrong))


def from_records(records: Sequence[Mapping[str, Any]], signature: Signature) -> pd.DataFrame:
    """Return JSON records that :meth:`Signature.problems` has accepted as a frame in canonical form."""
    return as_frame(from_rows(to_rows(records, signature), signature), signature)


def to_rows(records: Sequence[Mapping[str, Any]], signature: Signature) -> list[list[Any]]:
    """Return the values of JSON records in signature order."""
    names = [feature.name for feature in signature.features]
    return [[record[name] for name in names] for record in records]


def from_rows(rows: Sequence[Sequence[Any]], signature: Signature) -> list[Column]:
    """Return checked JSON values in signature order as canonical columns; what follows in a row is ignored."""
    given = zip(*rows, strict=True) if rows else ((),) * len(signature.features)
    return [
        np.array(
            [np.nan if value is None else value for value in values],
            dtype=object if feature.kind == "category" else np.float64,
        )
        for feature, values in zip(signature.features, given, strict=False)
    ]


def as_frame(columns: Sequence[Column], signature: Signature, index: pd.Index[Any] | None = None) -> pd.DataFrame:
    """Put canonical columns under their names.

    Object arrays are kept what they are: pandas 3 would make its own text type of them or not, by what is in them.
    """
    index = pd.RangeIndex(len(columns[0]) if columns else 0) if index is None else index
    named = zip((feature.name for feature in signature.features), columns, strict=True)
    kept = {n: pd.Series(v, index, object, copy=False) if v.dtype == object else v for n, v in named}
    return pd.DataFrame(kept, index, copy=False)


def to_records(frame: pd.DataFrame, signature: Signature) -> list[dict[str, Any]]:
    """Return canonical rows as JSON records of the signature's kinds, ``None`` for what is missing."""
    plain = {"number": float, "integer": int, "boolean": bool, "category": str}
    columns = [
        [None if pd.isna(value) else plain[feature.kind](value) for value in frame[feature.name]]
        for feature in signature.features
    ]
    names = [feature.name for feature in signature.features]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
