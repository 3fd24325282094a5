"""Scoring files: the same numbers whatever the format and the chunk, and one whole file or none."""

from __future__ import annotations

import json
import re
import sys
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from pegboard.errors import DataError, Problem, SignatureError
from pegboard.frames import conform
from pegboard.learning import learn_signature
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.specs import SourceSpec, Task, Wants
from pegboard.tables import read_chunks, score_file

ROWS = 60
AREAS = [9000 + 37 * row for row in range(ROWS)]
ZONES = ["NA", "None", "RL", "RM", None]
HOUSES = pd.DataFrame(
    {
        "Id": [str(100 + row * 7 % ROWS) for row in range(ROWS)],
        "LotArea": AREAS,
        "Zone": pd.Series([ZONES[row % 5] for row in range(ROWS)], dtype=object),
        "Cellar": [None if row % 9 == 0 else row / 7 for row in range(ROWS)],
        "Garage": pd.Series([None if row % 10 == 9 else row % 3 == 0 for row in range(ROWS)], dtype=object),
    }
)
FEW = HOUSES.head(12)
PRICES = np.array([area * 11 + 1000 * (row % 5) ** 2 + row for row, area in enumerate(AREAS)], dtype=float)
SHELVES = np.where(np.median(PRICES) < PRICES, "dear", "cheap").astype(object)

in_one_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def trained(task: Task, target: np.ndarray, estimator: Any, columns: Sequence[str] = HOUSES.columns) -> Predictor:
    frame = HOUSES[[*columns]].assign(target=target)
    source = SourceSpec(name="houses", task=task, target="target", keys=("Id",), load=lambda: frame)
    signature = learn_signature(frame, source)
    features = conform(frame, signature)
    return Predictor(make_pipeline(tabular(signature, Wants(scaling=True)), estimator).fit(features, target), signature)


@pytest.fixture(scope="module")
def prices() -> Predictor:
    return trained("regression", PRICES, LinearRegression())


@pytest.fixture(scope="module")
def shelves() -> Predictor:
    return trained("classification", SHELVES, LogisticRegression())


def saved(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, encoding="utf-8-sig" if path.stem == "marked" else "utf-8")
    else:
        frame.to_parquet(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"Id": str}) if path.suffix == ".csv" else pd.read_parquet(path)


def scored(predictor: Predictor, source: Path, chunk: int = 7, suffix: str = ".csv") -> pd.DataFrame:
    target = source.with_name(f"scored{suffix}")
    rows = score_file(predictor, source, target, chunk)
    table = read(target)
    assert len(table) == rows
    return table


def lines_of(path: Path) -> list[str]:
    return saved(HOUSES[HOUSES.Zone.isin(["RL", "RM"])], path).read_text().splitlines()


def refused(predictor: Predictor, source: Path, chunk: int = 7) -> str:
    """The message, after nothing but the source was found and an older result was found untouched."""
    target = source.with_name("older.csv")
    target.write_text("the older result")
    with pytest.raises(DataError) as caught:
        score_file(predictor, source, target, chunk)
    assert target.read_text() == "the older result"
    assert {path.name for path in source.parent.iterdir()} <= {source.name, "older.csv"}
    return str(caught.value)


@pytest.mark.parametrize("out", [".csv", ".parquet"])
@pytest.mark.parametrize("source", ["in.csv", "marked.csv", "in.parquet"])
def test_a_file_gets_the_numbers_of_its_records(prices: Predictor, tmp_path: Path, source: str, out: str) -> None:
    records = json.loads(HOUSES.drop(columns="Id").to_json(orient="records", double_precision=15))
    more = HOUSES.assign(Price="unknown")[["Price", *reversed(HOUSES.columns)]]
    table = scored(prices, saved(more, tmp_path / source), suffix=out)
    assert list(table.columns) == ["Id", "prediction"]
    assert table["Id"].astype(str).tolist() == HOUSES["Id"].tolist()
    assert table["prediction"].tolist() == pytest.approx(prices.predict(HOUSES).values, rel=1e-9)
    assert table["prediction"].tolist() == pytest.approx(prices.predict_records(records).values, rel=1e-9)


@pytest.mark.parametrize("out", [".csv", ".parquet"])
def test_classes_come_with_a_column_of_probabilities_each(shelves: Predictor, tmp_path: Path, out: str) -> None:
    table = scored(shelves, saved(HOUSES, tmp_path / "in.parquet"), suffix=out)
    expected = shelves.predict(HOUSES)
    assert list(table.columns) == ["Id", "prediction", "probability_cheap", "probability_dear"]
    assert table["prediction"].tolist() == expected.values.tolist()
    assert set(table["prediction"]) == {"cheap", "dear"}
    assert table.iloc[:, 2:].to_numpy() == pytest.approx(expected.probabilities, rel=1e-9)


@settings(in_one_folder, max_examples=15)
@given(chunk=st.integers(1, len(FEW) + 5))
@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
def test_the_size_of_a_chunk_does_not_matter(prices: Predictor, tmp_path: Path, chunk: int, source: str) -> None:
    whole = prices.predict(FEW).values
    table = scored(prices, saved(FEW, tmp_path / source), chunk)
    assert table["Id"].tolist() == FEW["Id"].tolist()
    assert table["prediction"].tolist() == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("out", [".csv", ".parquet"])
@pytest.mark.parametrize("keys", ["007/7/07", "1/2/x", "1//3", "2.50/1e3/inf", "True/False/NA", f"{2**63}/{2**80}/-1"])
def test_a_key_of_a_csv_file_comes_back_to_the_letter(prices: Predictor, tmp_path: Path, keys: str, out: str) -> None:
    ids, target = keys.split("/") * 2, tmp_path / f"out{out}"
    path = saved(HOUSES.head(6).assign(Id=ids), tmp_path / "in.csv")
    for chunk in (1, 2, 6):
        score_file(prices, path, target, chunk)
        written = pd.read_csv(target, dtype=str, keep_default_na=False) if out == ".csv" else pd.read_parquet(target)
        assert written["Id"].tolist() == ids


@pytest.mark.parametrize("nulls", [[0, 1], [3]])
def test_a_large_key_of_a_parquet_file_keeps_its_digits_beside_a_null(
    prices: Predictor, tmp_path: Path, nulls: list[int]
) -> None:
    keys = [None if row in nulls else 2**60 + 1 + row for row in range(6)]
    path = saved(HOUSES.head(6).assign(Id=pd.array(keys, dtype="Int64")), tmp_path / "in.parquet")
    for chunk in (1, 2, 6):
        score_file(prices, path, tmp_path / "out.csv", chunk)
        score_file(prices, path, tmp_path / "out.parquet", chunk)
        lines = (tmp_path / "out.csv").read_text().splitlines()[1:]
        assert [line.split(",")[0] for line in lines] == ["" if key is None else str(key) for key in keys]
        assert parquet.read_table(tmp_path / "out.parquet")["Id"].to_pylist() == keys


@pytest.mark.parametrize("name", ["Id", "Zone"])
def test_a_stored_index_of_a_parquet_file_is_a_column(prices: Predictor, tmp_path: Path, name: str) -> None:
    plain = scored(prices, saved(HOUSES, tmp_path / "in.parquet"))
    HOUSES.set_index(name).to_parquet(tmp_path / "in.parquet")
    pd.testing.assert_frame_equal(scored(prices, tmp_path / "in.parquet"), plain)


def test_a_file_is_streamed_and_not_held(tmp_path: Path) -> None:
    columns = ["Id", "LotArea", "Cellar"]
    predictor = trained("regression", PRICES, LinearRegression(), columns)
    header, *lines = saved(HOUSES[columns], tmp_path / "in.csv").read_text().splitlines(keepends=True)
    (tmp_path / "in.csv").write_text(header + "".join(lines * (60_000 // ROWS + 1)))
    tracemalloc.start()
    rows = score_file(predictor, tmp_path / "in.csv", tmp_path / "out.csv", 2_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows > 60_000
    assert peak < rows * 40  # bytes: a row that is held takes five times as many


@pytest.mark.parametrize(
    ("column", "text", "problem"),
    [
        ("LotArea", "large", "'large' is not an integer below 2**53 in magnitude"),
        ("LotArea", "60.5", "60.5 is not an integer below 2**53 in magnitude"),
        ("LotArea", "True", "'True' is not an integer below 2**53 in magnitude"),
        ("LotArea", "", "is null: the training data has no nulls here"),
        ("Cellar", "deep", "'deep' is not a finite number"),
        ("Cellar", "1e999", "inf is not a finite number"),
        ("Garage", "maybe", "'maybe' is not a boolean"),
    ],
)
@pytest.mark.parametrize(("row", "chunk"), [(0, 5), (9, 5), (17, 100)])
def test_only_the_bad_value_is_named_by_its_column_and_its_row_in_the_file(
    prices: Predictor, tmp_path: Path, column: str, text: str, problem: str, row: int, chunk: int
) -> None:
    lines = lines_of(path := tmp_path / "in.csv")
    fields = lines[row + 1].split(",")
    fields[lines[0].split(",").index(column)] = text
    lines[row + 1] = ",".join(fields)
    path.write_text("\n".join(lines))
    with pytest.raises(SignatureError) as caught:
        score_file(prices, path, tmp_path / "out.csv", chunk)
    assert (caught.value.problems, caught.value.total) == ((Problem(row, column, problem),), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_missing_column_is_named_with_the_nearest_one(prices: Predictor, tmp_path: Path) -> None:
    path = saved(HOUSES.rename(columns={"LotArea": "lot_area"}), tmp_path / "in.csv")
    assert "LotArea: the column is missing; did you mean 'lot_area'?" in refused(prices, path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_that_comes_twice_is_refused(prices: Predictor, tmp_path: Path, suffix: str) -> None:
    table = pa.Table.from_pandas(HOUSES, preserve_index=False)
    write = {".csv": csv.write_csv, ".parquet": parquet.write_table}[suffix]
    write(table.append_column("LotArea", table["LotArea"]), path := tmp_path / f"in{suffix}")
    assert re.search("LotArea.* more than once|more than once.* LotArea", refused(prices, path))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
def test_a_file_without_rows_gives_a_result_without_rows(
    prices: Predictor, shelves: Predictor, tmp_path: Path, source: str, suffix: str
) -> None:
    path = saved(HOUSES.head(0), tmp_path / source)
    assert list(scored(prices, path, suffix=suffix).columns) == ["Id", "prediction"]
    assert list(scored(shelves, path, suffix=suffix).columns)[2:] == ["probability_cheap", "probability_dear"]


def test_a_category_that_is_called_na_or_none_in_training_stays_one(prices: Predictor, tmp_path: Path) -> None:
    alike = HOUSES.assign(LotArea=9000, Cellar=1.5, Garage=True)
    table = scored(prices, saved(alike, tmp_path / "in.csv"))
    assert table["prediction"].tolist() == pytest.approx(prices.predict(alike).values, rel=1e-9)
    assert len(set(table["prediction"].round(3))) == len(ZONES)


@settings(in_one_folder, max_examples=50)
@given(numbers=st.lists(st.floats(-1e30, 1e30) | st.floats(-1e4, 1e4), min_size=1, max_size=30))
def test_a_number_is_read_to_its_last_digit(prices: Predictor, tmp_path: Path, numbers: list[float]) -> None:
    path = saved(pd.DataFrame({"Cellar": numbers}), tmp_path / "in.csv")
    (frame,) = read_chunks(path, prices.signature, 100)
    assert frame["Cellar"].tolist() == numbers


@pytest.mark.parametrize("row", [0, 1, 6, 7, 20])
def test_a_row_of_too_many_fields_is_refused_wherever_it_is(prices: Predictor, tmp_path: Path, row: int) -> None:
    lines = lines_of(path := tmp_path / "in.csv")
    lines[row + 1] += ",5"
    path.write_text("\n".join(lines))
    assert re.fullmatch(rf"cannot read {path}: .*fields.*", refused(prices, path).strip())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_text_that_is_not_utf_8_is_refused(prices: Predictor, tmp_path: Path, suffix: str) -> None:
    path = saved(FEW.assign(Zone="RL"), tmp_path / f"in{suffix}")
    if suffix == ".csv":
        path.write_bytes(b"\xe9L".join(path.read_bytes().rsplit(b"RL", 1)))
    else:
        zones = pa.array([b"RL"] * 11 + [b"\xe9L"]).view(pa.string())
        parquet.write_table(parquet.read_table(path).drop("Zone").append_column("Zone", zones), path)
    assert re.match(f"cannot read {path}: .*utf-?8", refused(prices, path), re.IGNORECASE)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_file_that_is_empty_or_not_there_is_refused(prices: Predictor, tmp_path: Path, name: str) -> None:
    assert refused(prices, tmp_path / name).startswith(f"cannot read {tmp_path / name}: ")
    (tmp_path / name).write_bytes(b"")
    assert refused(prices, tmp_path / name).startswith(f"cannot read {tmp_path / name}: ")


@settings(in_one_folder, max_examples=25)
@given(changes=st.dictionaries(st.integers(0, 4000), st.integers(0, 255), max_size=4), cut=st.integers(0, 4000))
@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_damaged_file_is_scored_or_refused(
    prices: Predictor, tmp_path: Path, name: str, changes: dict[int, int], cut: int
) -> None:
    path = saved(FEW, tmp_path / name)
    content = bytearray(path.read_bytes())
    for position, byte in changes.items():
        content[position % len(content)] = byte
    path.write_bytes(content[: len(content) - cut * (cut > 3000)])
    with suppress(DataError):
        score_file(prices, path, tmp_path / "out.csv", 7)
    assert {found.name for found in tmp_path.iterdir()} <= {name, "out.csv"}


@pytest.mark.parametrize("name", ["in.txt", "in", "in.CSV"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(prices: Predictor, tmp_path: Path, name: str) -> None:
    good = saved(HOUSES, tmp_path / "in.csv")
    for source, target in ((tmp_path / name, tmp_path / "out.csv"), (good, tmp_path / name)):
        with pytest.raises(DataError, match=rf"{tmp_path / name}: the name must end in \.csv or \.parquet"):
            score_file(prices, source, target, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_target_that_cannot_be_written_is_named(prices: Predictor, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "nowhere" / f"out{suffix}"
    with pytest.raises(DataError, match=f"cannot write {target}: .*No such file or directory"):
        score_file(prices, saved(HOUSES, tmp_path / "in.csv"), target, 7)


def test_keys_missing_from_the_first_chunk_do_not_spoil_the_rest_of_a_parquet_file(
    prices: Predictor, tmp_path: Path
) -> None:
    houses = HOUSES.assign(Id=[None] * 3 + [f"k{number}" for number in range(len(HOUSES) - 3)])
    houses.to_csv(tmp_path / "in.csv", index=False)
    assert score_file(prices, tmp_path / "in.csv", tmp_path / "out.parquet", 3) == len(HOUSES)
    keys = pd.read_parquet(tmp_path / "out.parquet")["Id"].tolist()
    assert keys == houses["Id"].fillna("").tolist()


@pytest.mark.parametrize(("source", "target"), [("in.csv", "out.parquet"), ("in.parquet", "out.csv")])
def test_without_pyarrow_parquet_says_what_to_install(
    source: str, target: str, prices: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HOUSES.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "in.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"Parquet needs pyarrow: pip install 'pegboard\[parquet\]'"):
        score_file(prices, tmp_path / source, tmp_path / target, 3)
    assert not (tmp_path / target).exists()
