"""What files hold, and what is wrong with those that cannot be read."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pegboard import DataError
from pegboard.errors import ConfigError

Load = Callable[..., pd.DataFrame]
CSV = "id,x,y\n1,a,1.5\n2,b,2.5\n"


def same_as_csv(frame: pd.DataFrame) -> bool:
    return frame.to_dict("list") == {"id": [1, 2], "x": ["a", "b"], "y": [1.5, 2.5]}


def test_csv_tsv_json_lines_and_parquet_give_the_same_table(loaded: Load, tmp_path: Path) -> None:
    assert same_as_csv(loaded(CSV))
    assert same_as_csv(loaded(CSV.replace(",", "\t"), "t.tsv"))
    assert same_as_csv(loaded('{"id":1,"x":"a","y":1.5}\n{"id":2,"x":"b","y":2.5}\n', "t.jsonl"))
    pd.read_csv(tmp_path / "t.csv").to_parquet(tmp_path / "t.parquet")
    assert same_as_csv(loaded(None, "t.parquet"))


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz")])
@pytest.mark.parametrize("named", [True, False])
def test_packed_files_are_unpacked_whatever_their_name(loaded: Load, pack: Any, suffix: str, named: bool) -> None:
    assert same_as_csv(loaded(pack(CSV.encode()), f"t.csv.{suffix}" if named else "t.csv"))


def test_a_packed_file_that_was_cut_off_is_damaged(loaded: Load) -> None:
    with pytest.raises(DataError, match=r"t.csv.gz is damaged"):
        loaded(gzip.compress(CSV.encode() * 100)[:-10], "t.csv.gz")


def test_a_small_file_that_unpacks_to_a_large_one_stops_at_the_limit(loaded: Load) -> None:
    with pytest.raises(DataError, match=r"more than 1,000,000 bytes together.*max_bytes"):
        loaded(gzip.compress(b"x,y\n" + b"1,1\n" * 10**6), "t.csv.gz", max_bytes=10**6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("x,y\n", "has columns, but no rows"),
        ("x,y\n1,2\n3\n", r"Row #3: Expected 2 columns, got 1"),
        ("x,y\n1,2\n3,4,5\n", r"Row #3: Expected 2 columns, got 3"),
        ("x,y,x\n1,2,3\n", "more than once in its header: x"),
        ("x;y\n1;2\n", r"its header is one column, 'x;y': set delimiter = ';'"),
        ("x\ty\n1\t2\n", "set delimiter"),
        (",x,y\n0,1,2\n", r"column 1 has no name.*drop = \[\"\"\]"),
        (b"x,y\n\xe9,2\n", r'not written in utf-8: set encoding = "cp1252"'),
        ("x,y\n1,2\n".encode("utf-16"), r'set encoding = "utf-16"'),
        ("<!DOCTYPE html>\n<html></html>\n", r"there is no column 'y'; the columns are: '<!DOCTYPE html>'"),
        ("x,Y\n1,2\n", "target: there is no column 'y'; did you mean 'Y'"),
        (b"PK\x03\x04....", "packed with zip"),
        (b"\x28\xb5\x2f\xfd....", "packed with zstd"),
        ('x,y\n"1,2\n', "Expected 2 columns"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_with_a_remedy(loaded: Load, content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        loaded(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"y":1}\n{"y":"a"}\n', "changed from number to string"),
        ('[{"y":1}]\n', "changed from object to array"),
        ('{"y":1,"x":[1]}\n', "column 'x' holds lists or objects"),
        ('{"y":1,"x":{"z":1}}\n', "column 'x' holds lists or objects"),
        ('{"y":1,"y":2}\n', "specified twice"),
        ('{"y":1,"x":"2020-01-01"}\n', "column 'x' holds dates as texts"),
        ("nonsense\n", "is no whole jsonl file"),
        (b'{"y":"\xff"}\n', "texts are not UTF-8, as they must be: write it anew"),
    ],
)
def test_what_is_wrong_with_json_lines_is_said(loaded: Load, content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        loaded(content, "t.jsonl")


def test_a_date_in_json_that_is_declared_a_text_stays_as_it_was_written(loaded: Load) -> None:
    frame = loaded('{"y":1,"x":"2020-01-01"}\n', "t.jsonl", features={"x": "category"})
    assert frame["x"].tolist() == ["2020-01-01"]


def test_texts_of_digits_in_json_stay_texts(loaded: Load) -> None:
    assert loaded('{"y":1,"x":"7"}\n{"y":1,"x":"8"}\n', "t.jsonl")["x"].tolist() == ["7", "8"]


def test_the_types_of_parquet_are_kept_and_the_nameless_index_is_no_column(loaded: Load, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], "Int64"), "b": [True, False], "c": pd.Categorical(["u", "v"]),
            "f": pd.array([1.5, 2.5], "float32"), "y": [1, 2], "code": [7, 8],
        },
        index=[5, 3],
    )  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet")
    found = loaded(None, "t.parquet", features={"i": "integer", "b": "boolean", "c": "category", "f": "number",
                                                "code": "category"})  # fmt: skip
    assert {name: str(kind) for name, kind in found.dtypes.items()} == {
        "i": "Int64", "b": "bool", "c": "str", "f": "float64", "y": "int64", "code": "str"
    }  # fmt: skip
    assert found["code"].tolist() == ["7", "8"]
    assert "__index_level_0__" not in loaded(None, "t.parquet")


def test_dates_in_parquet_are_refused_and_left_out_where_they_are_dropped(loaded: Load, tmp_path: Path) -> None:
    pd.DataFrame({"sold": pd.to_datetime(["2020-01-01"]), "x": [1.5], "y": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'sold' holds dates or times \(timestamp.*drop = \[\"sold\"\]"):
        loaded(None, "t.parquet")
    assert [*loaded(None, "t.parquet", drop=["sold"])] == ["x", "y"]


def test_a_parquet_file_that_was_cut_off_is_named(loaded: Load, tmp_path: Path) -> None:
    pd.DataFrame({"y": range(1000)}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet is no whole parquet file"):
        loaded((tmp_path / "t.parquet").read_bytes()[:-20], "t.parquet")


def test_a_bom_other_encodings_and_quoted_lines_are_read(loaded: Load) -> None:
    assert [*loaded("\ufeffx,y\na,1\n")] == ["x", "y"]
    assert loaded("x,y\né,1\n".encode("cp1252"), encoding="cp1252")["x"].tolist() == ["é"]
    assert loaded("x,y\né,1\n".encode("utf-16"), encoding="utf-16")["x"].tolist() == ["é"]
    assert loaded('x,y\n"a\nb, c",1\n')["x"].tolist() == ["a\nb, c"]


def test_a_column_without_a_name_may_be_left_out(loaded: Load) -> None:
    assert [*loaded(",x,y\n0,1,2\n", drop=[""])] == ["x", "y"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "excel"}, "no format 'excel'; known: csv"),
        ({"format": "json"}, "did you mean 'jsonl'"),
        ({"delimiter": ";;"}, "delimiter is ';;': it is one character"),
        ({"decimal": "x"}, "decimal is 'x'"),
        ({"encoding": "utf-99"}, "no encoding 'utf-99'"),
        ({"missing": "?"}, "missing is .*list texts"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"target": ""}, "name the column that is to be predicted"),
        ({"path": ""}, "say where the table is"),
        ({"path": 3}, "path is 3"),
        ({"path_variable": "ALSO"}, "and not both"),
        ({"path": "ftp://h/t.csv"}, "not from ftp://"),
    ],
)
def test_options_that_make_no_sense_are_refused(loaded: Load, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(CSV, **options)


def test_a_name_that_does_not_say_what_it_is_needs_a_format(loaded: Load) -> None:
    with pytest.raises(DataError, match=r"table.dat: its name does not say what it is: set format"):
        loaded(CSV, "table.dat")
    assert same_as_csv(loaded(CSV, "table.dat", format="csv"))
