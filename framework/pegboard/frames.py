"""Tables and signatures: learning one from a table, and bringing any table into the canonical form.

The canonical form is float64 for numbers, integers and booleans, and object columns of ``str`` for categories,
with NaN for what is missing. It is the same for one row and for a million, for CSV, Parquet and JSON, so a pipeline
never sees what pandas happened to infer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.errors import DataError, Problem, SignatureError, did_you_mean
from pegboard.signature import (
    LARGEST_INTEGER,
    LARGEST_NUMBER,
    MOST_CATEGORIES,
    ClassLabel,
    Feature,
    Kind,
    Signature,
)
from pegboard.specs import SourceSpec

#: At most this many rows are named for one column; the rest are counted.
MOST_EXAMPLES = 5

Column = npt.NDArray[Any]


def learn(frame: pd.DataFrame, source: SourceSpec) -> Signature:
    """Learn a signature; columns that are declared but missing or mistyped are left for validation to report."""
    if not frame.columns.is_unique:
        twice = sorted(set(frame.columns[frame.columns.duplicated()].astype(str)))
        raise DataError(f"source {source.name!r} delivers columns more than once: {', '.join(twice)}")
    roles = {*source.keys, source.target}
    declared: Mapping[str, Kind] = source.features or {
        str(name): infer_kind(frame[name]) for name in frame.columns if name not in roles
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
    labels = {_label(value) for value in frame[source.target].dropna().unique()}
    if any(isinstance(label, float) for label in labels):
        raise DataError(f"target {source.target!r} has fractional values, so it cannot name classes")
    if len({type(label) for label in labels}) > 1:
        raise DataError(f"target {source.target!r} mixes texts, numbers and booleans as classes")
    return tuple(sorted(labels))


def _label(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
    if kind == "integer" and pd.api.types.is_integer_dtype(column.dtype):
        beyond = (column > LARGEST_INTEGER) | (column < -LARGEST_INTEGER)
        values[beyond.to_numpy(dtype=bool, na_value=False)] = np.inf  # rounded, 2**53 + 1 would pass
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
    """See :meth:`pegboard.signature.Signature.conform`."""
    problems: list[Problem] = []
    total = 0
    columns: dict[str, Column] = {}
    for feature in signature.features:
        if feature.name not in frame:
            hint = did_you_mean(feature.name, map(str, frame.columns))
            problems.append(Problem(None, feature.name, f"the column is missing{hint}"))
            total += 1
            continue
        if isinstance(frame[feature.name], pd.DataFrame):
            problems.append(Problem(None, feature.name, "the column comes more than once"))
            total += 1
            continue
        values, bad = canonical(frame[feature.name], feature.kind)
        columns[feature.name] = values
        for rows, describe in _complaints(frame[feature.name], feature, values, bad):
            problems += [Problem(int(row), feature.name, describe(int(row))) for row in rows[:MOST_EXAMPLES]]
            total += len(rows)
    if problems:
        raise SignatureError(sorted(problems, key=lambda p: -1 if p.row is None else p.row), total)
    return _frame(columns, frame.index)


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
        "integer": "an integer of at most 2**53 in magnitude",
        "boolean": "a boolean",
        "category": "a text",
    }[kind]


def target_values(frame: pd.DataFrame, signature: Signature) -> Column:
    """See :meth:`pegboard.signature.Signature.target_values`."""
    name = signature.target
    if name not in frame:
        raise SignatureError([Problem(None, name, "the target column is missing")])
    if signature.task == "classification":
        return _class_values(frame[name], signature)
    values, bad = canonical(frame[name], "number")
    wrong = np.flatnonzero(bad | np.isnan(values))
    _refuse_target(frame[name], wrong, "the target must be a finite number")
    return values


def _class_values(column: pd.Series[Any], signature: Signature) -> Column:
    known = set(signature.classes)
    labels = [_label(value) for value in column]
    wrong = np.flatnonzero([pd.isna(label) or label not in known for label in labels])
    _refuse_target(column, wrong, "the target must be one of the classes")
    # Texts stay objects: a fixed-width numpy string would cut and copy them.
    dtype = object if signature.classes and isinstance(signature.classes[0], str) else None
    return np.array(labels, dtype=dtype)


def _refuse_target(column: pd.Series[Any], wrong: npt.NDArray[np.intp], rule: str) -> None:
    if len(wrong):
        problems = [Problem(int(r), str(column.name), f"{rule}, not {column.iloc[r]!r}") for r in wrong[:MOST_EXAMPLES]]
        raise SignatureError(problems, len(wrong))


def from_records(records: Sequence[Mapping[str, Any]], signature: Signature) -> pd.DataFrame:
    """See :meth:`pegboard.signature.Signature.from_records`."""
    columns: dict[str, Column] = {}
    for feature in signature.features:
        values = [np.nan if (value := record[feature.name]) is None else value for record in records]
        columns[feature.name] = np.array(values, dtype=object if feature.kind == "category" else np.float64)
    return _frame(columns, pd.RangeIndex(len(records)))


def _frame(columns: Mapping[str, Column], index: pd.Index[Any]) -> pd.DataFrame:
    """Keep object arrays what they are: pandas 3 would make its own text type of them or not, by what is in them."""
    kept = {n: pd.Series(v, index, object, copy=False) if v.dtype == object else v for n, v in columns.items()}
    return pd.DataFrame(kept, index, copy=False)


def fingerprint(frame: pd.DataFrame, target: Column) -> str:
    """SHA-256 over the canonical columns and the target: the same content gives the same digest on any machine."""
    digest = hashlib.sha256()
    for name, values in [*((str(n), frame[n].to_numpy()) for n in frame.columns), ("", target)]:
        digest.update(f"{name}\x1f{len(values)}\x1f".encode())
        digest.update(_content(values))
    return digest.hexdigest()


def _content(values: Column) -> bytes:
    if values.dtype != object:
        return np.ascontiguousarray(values, dtype=np.float64).astype("<f8").tobytes()
    # Lengths in front, so that no text can imitate a boundary.
    return "".join("-" if isinstance(v, float) else f"{len(v)}:{v}" for v in values).encode("utf-8", "surrogatepass")


def row_shares(columns: Iterable[Column], rows: int) -> npt.NDArray[np.float64]:
    """Map each row to a number in [0, 1) that depends on nothing but the row's own values.

    It stays the same when rows are added, removed or reordered, and across platforms and library versions; equal
    rows get equal numbers.
    """
    texts = [_texts(values) for values in columns]
    joined = map("\x1f".join, zip(*texts, strict=True)) if texts else iter([""] * rows)
    digests = (
        int.from_bytes(hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=6).digest()) for t in joined
    )
    return np.fromiter(digests, dtype=np.float64, count=rows) / 2.0**48


def _texts(values: Column) -> list[str]:
    if values.dtype == object:
        return [v if isinstance(v, str) else repr(_label(v)) for v in values.tolist()]
    return [repr(int(v)) if v.is_integer() else repr(v) for v in values.astype(np.float64).tolist()]
