"""Files of rows, CSV or Parquet, read and written chunk by chunk."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from pegboard.errors import DataError, Problem, SignatureError
from pegboard.predictor import Predictor
from pegboard.signature import Signature
from pegboard.specs import Kind

BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}

#: The texts that stand for a missing value in a CSV, unless a column's categories include them.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")


def score_file(predictor: Predictor, source: Path, target: Path, chunk: int) -> int:
    """Score a file into another, holding one chunk in memory; return how many rows there were.

    ``target`` appears whole or not at all. Raises :class:`~pegboard.errors.SignatureError` with rows counted from
    the start of the file.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise DataError(f"{target} is the input itself: name another file for the predictions")
    rows = 0
    with _whole(target) as partial, _writer(partial, target.suffix) as write:
        for frame in read_chunks(source, predictor.signature, chunk):
            write(_scored(predictor, frame, rows))
            rows += len(frame)
    return rows


def _scored(predictor: Predictor, frame: pd.DataFrame, offset: int) -> pd.DataFrame:
    try:
        predictions = predictor.predict(frame)
    except SignatureError as error:
        moved = [Problem(None if p.row is None else p.row + offset, p.field, p.problem) for p in error.problems]
        raise SignatureError(moved, error.total) from None
    columns: dict[str, Any] = {key: frame[key].array for key in predictor.signature.keys if key in frame}
    columns["prediction"] = predictions.values
    if predictions.probabilities is not None:
        for position, label in enumerate(predictions.classes):
            columns[f"probability_{label}"] = predictions.probabilities[:, position]
    return pd.DataFrame(columns)


def read_chunks(path: Path, signature: Signature, chunk: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV or Parquet file, at least one frame (maybe empty)."""
    suffix = _known_suffix(path)
    try:
        yield from _read_parquet(path, signature, chunk) if suffix == ".parquet" else read_csv(path, signature, chunk)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise DataError(f"cannot read {path}: {error}") from error


def read_csv(source: Path | bytes, signature: Signature, chunk: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV file, or of a CSV's bytes, at least one frame (maybe empty); raises ``ValueError``."""
    texts = [f for f in signature.features if f.kind == "category"]
    missing: dict[Any, list[str]] = {f.name: [m for m in MISSING if m not in (f.categories or ())] for f in texts}
    missing |= {f.name: list(MISSING) for f in signature.features if f.kind != "category"}
    _refuse_repeated(_header(source), signature)
    with pd.read_csv(
        _opened(source),
        chunksize=chunk,
        dtype={**dict.fromkeys(signature.keys, "string"), **{f.name: "object" for f in texts}},
        na_values=missing,
        keep_default_na=False,
        encoding="utf-8",
        low_memory=False,
    ) as frames:
        for frame in frames:
            if len(frame) and not isinstance(frame.index, pd.RangeIndex):
                raise ValueError("its first row has more fields than its header")
            for feature in signature.features:
                if feature.name in frame:
                    frame[feature.name] = _values(frame[feature.name], feature.kind)
            yield frame


def _opened(source: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _header(source: Path | bytes) -> list[str]:
    """Return the header as it is: pandas would give the second of two equal names another one."""
    header = pd.read_csv(_opened(source), header=None, nrows=1, dtype="object", keep_default_na=False, encoding="utf-8")
    return [str(name) for name in header.iloc[0]]


def _refuse_repeated(names: Sequence[str], signature: Signature) -> None:
    wanted = [*signature.keys, *(feature.name for feature in signature.features)]
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise ValueError(f"columns that come more than once: {', '.join(twice)}")


def _values(column: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    """Read the texts of a column one by one: a single bad one makes pandas leave all of them as texts."""
    if kind == "category" or pd.api.types.infer_dtype(column, skipna=True) != "string":
        return column
    values = column.map(BOOLEANS) if kind == "boolean" else pd.to_numeric(column, errors="coerce")
    return values.astype(object).where(values.notna(), column.astype(object))


def _read_parquet(path: Path, signature: Signature, chunk: int) -> Iterator[pd.DataFrame]:
    parquet = _pyarrow_parquet()
    with parquet.ParquetFile(path) as file:
        _refuse_repeated(file.schema_arrow.names, signature)
        empty = True
        for batch in file.iter_batches(chunk):
            empty = False
            yield _from_arrow(batch, signature)
        if empty:
            yield _from_arrow(file.schema_arrow.empty_table(), signature)


def _from_arrow(batch: Any, signature: Signature) -> pd.DataFrame:
    """Ignore pandas' own notes, so that a stored index is a column; keep keys as they are, nulls and all."""
    batch.validate(full=True)  # a damaged file may hold texts that are none
    frame: pd.DataFrame = batch.to_pandas(ignore_metadata=True)
    for key in signature.keys:
        if key in frame:
            frame[key] = pd.arrays.ArrowExtensionArray(batch.column(key))
    return frame


def write_table(frame: pd.DataFrame, target: Path) -> None:
    """Write one frame to a CSV or Parquet file that appears whole or not at all."""
    with _whole(target) as partial, _writer(partial, target.suffix) as write:
        write(frame)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a path beside ``target`` to write to, and move it there if all went well."""
    _known_suffix(target)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, suffix: str) -> Iterator[Any]:
    with _csv_writer(path) if suffix == ".csv" else _parquet_writer(path) as write:
        yield write


@contextmanager
def _csv_writer(path: Path) -> Iterator[Any]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda frame: frame.to_csv(file, index=False, header=file.tell() == 0)


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Any]:
    parquet = _pyarrow_parquet()
    import pyarrow as pa

    writers: list[Any] = []

    def write(frame: pd.DataFrame) -> None:
        rows = pa.Table.from_pandas(frame, schema=writers[0].schema if writers else None, preserve_index=False)
        if not writers:
            writers.append(parquet.ParquetWriter(path, rows.schema))
        writers[0].write_table(rows)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


def _pyarrow_parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("Parquet needs pyarrow: pip install 'pegboard[parquet]'") from error
    return parquet


def _known_suffix(path: Path) -> str:
    if path.suffix not in (".csv", ".parquet"):
        raise DataError(f"{path}: the name must end in .csv or .parquet")
    return path.suffix
