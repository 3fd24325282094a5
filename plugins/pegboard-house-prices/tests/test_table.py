"""The table that ships, files that are no such table, and what the source declares."""

from __future__ import annotations

import gzip
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pegboard import DataError, SourceSpec
from pegboard.learning import learn_signature
from pegboard.training.validate import validate
from pegboard_house_prices.plugin import load, register_sources

COLUMNS = {
    "Id": "Order",
    "MSSubClass": "MS.SubClass",
    "MSZoning": "MS.Zoning",
    "LotArea": "Lot.Area",
    "LotConfig": "Lot.Config",
    "BldgType": "Bldg.Type",
    "OverallCond": "Overall.Cond",
    "YearBuilt": "Year.Built",
    "YearRemodAdd": "Year.Remod.Add",
    "Exterior1st": "Exterior.1st",
    "BsmtFinSF2": "BsmtFin.SF.2",
    "TotalBsmtSF": "Total.Bsmt.SF",
    "SalePrice": "price",
}
HEADING = ",".join(COLUMNS)
HOUSE = "1,20,RL,31770,Corner,1Fam,5,1960,1960,BrkFace,0.0,1080.0,215000"


@pytest.fixture
def source() -> SourceSpec:
    (spec,) = register_sources()
    return spec


def refusal(path: Path) -> str:
    """Return why a local path is refused; the message names it."""
    with pytest.raises(DataError) as caught:
        load(path=str(path), url="http://127.0.0.1:0/never-asked")
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_shipped_table_has_its_2930_rows_and_13_columns_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    table = load()
    assert table.shape == (2930, 13)
    assert [*table.columns] == [*COLUMNS]
    assert table["Id"].tolist() == [*range(1, 2931)]
    assert table.iloc[-1].tolist() == [
        *(2930, 60, "RL", 9627, "Inside", "1Fam", 5, 1993, 1994, "HdBoard", 0.0, 996.0, 188000)
    ]
    assert [*tmp_path.iterdir()] == []


def test_the_shipped_table_lacks_exactly_two_values_of_one_house() -> None:
    table = load()
    rows, columns = table.isna().to_numpy().nonzero()
    missing = [(int(table["Id"][row]), table.columns[column]) for row, column in zip(rows, columns, strict=True)]
    assert missing == [(1342, "BsmtFinSF2"), (1342, "TotalBsmtSF")]


def test_the_origin_says_which_file_the_rows_came_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADING}\n{HOUSE}\n")
    assert load(path=str(path)).attrs["origin"] == str(path)
    shipped = Path(load().attrs["origin"])
    assert shipped.name == "ames.csv"
    assert len(shipped.read_text().splitlines()) == 2931


@settings(deadline=None)
@given(st.permutations([*COLUMNS]), st.lists(st.booleans(), min_size=13, max_size=13), st.sampled_from(["\n", "\r\n"]))
def test_the_order_of_columns_their_headings_and_more_columns_make_no_difference(
    order: list[str], published: list[bool], newline: str
) -> None:
    headings = [COLUMNS[name] if old else name for name, old in zip(order, published, strict=True)]
    values = dict(zip(COLUMNS, HOUSE.split(","), strict=True))
    rows = [["PID", *headings], ["526301100", *(values[name] for name in order)]]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ames.csv"
        path.write_text("\ufeff" + newline.join(map(",".join, rows)), encoding="utf-8", newline="")
        assert load(path=str(path)).to_csv(index=False) == f"{HEADING}\n{HOUSE}\n"


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = tmp_path / "ames.csv"
    load().head(30).drop(columns=column).to_csv(path, index=False)
    assert f"it lacks {column} (it begins: " in refusal(path)


BAD = {
    "page": (b"<!doctype html>\n<html><body><p>Please log in</p></body></html>\n", "it lacks Id, MSSubClass"),
    "page of commas": (b"<html>\n<p>a, b, c</p>\n</html>\n", "of house sales"),
    "other columns": (b"species,island\nAdelie,Torgersen\n", "it begins: species, island"),
    "one row longer": (f"{HEADING}\n{HOUSE}\n{HOUSE},9\n".encode(), "not a CSV file of house sales"),
    "first row longer": (f"{HEADING}\n{HOUSE},9\n{HOUSE}\n".encode(), "not a CSV file of house sales"),
    "all rows longer": (f"{HEADING}\n9,{HOUSE}\n9,{HOUSE}\n".encode(), "not a CSV file of house sales"),
    "column twice": (f"Order,{HEADING}\n9,{HOUSE}\n".encode(), "Id twice"),
    "headings alone": (f"{HEADING}\n".encode(), "no rows"),
    "empty": (b"", "No columns to parse"),
    "binary": (bytes(range(256)) * 9, "not a CSV file of house sales"),
    "compressed": (gzip.compress(f"{HEADING}\n{HOUSE}\n".encode()), "not a CSV file of house sales"),
    "another encoding": (f"{HEADING}\n{HOUSE}\n".replace("RL", "É").encode("latin-1"), "utf-8"),
    "zeros": (bytes(1000), "lacks Id"),
    "open quote": (f'{HEADING}\n"{HOUSE}\n'.encode(), "EOF inside string"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_table_of_house_sales_is_refused(tmp_path: Path, case: str) -> None:
    content, reason = BAD[case]
    path = tmp_path / "ames.csv"
    path.write_bytes(content)
    assert reason in refusal(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("case", BAD)
def test_the_same_answer_of_a_server_is_refused_and_not_kept(serving: Any, refused: Any, case: str) -> None:
    content, reason = BAD[case]
    with serving(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\n" + content) as server:
        assert reason in refused(server.url)


def test_the_message_about_an_answer_names_no_file_that_is_gone(serving: Any, refused: Any) -> None:
    with serving(b"HTTP/1.1 200 OK\r\n\r\na,b\n1,2\n") as server:
        assert ".download-" not in refused(server.url)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='Id,"\n\r\t0-.eEé\0', max_size=100).map(str.encode))
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfe")
def test_any_bytes_are_refused_with_an_error_of_the_data(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ames.csv"
        path.write_bytes(content)
        assert refusal(path)


def test_a_directory_as_path_is_refused(tmp_path: Path) -> None:
    assert "Is a directory" in refusal(tmp_path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    assert "File name too long" in refusal(tmp_path / ("a" * 300))


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(DataError, match=re.escape(str(path))):
        load(path=str(path / "ames.csv"), url="http://127.0.0.1:0/")
    assert path.read_text() == "mine"


def test_the_plugin_imports_no_pandas_until_it_loads() -> None:
    heavy = "{'pandas', 'numpy', 'great_expectations', 'http.client'} & {*sys.modules}"
    code = (
        f"import sys, pegboard_house_prices.plugin as p; p.register_sources(); print({heavy}); p.load(); print({heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, after = done.stdout.splitlines()
    assert before == "set()"
    assert "pandas" in after
    assert "great_expectations" not in after


def test_the_entry_point_is_found_in_the_group_of_pegboard(source: SourceSpec) -> None:
    (entry,) = importlib.metadata.entry_points(group="pegboard", name="house-prices")
    assert entry.dist is not None
    assert entry.dist.name == "pegboard-house-prices"
    (found,) = entry.load().register_sources()
    assert found == source
    assert (found.name, found.task, found.target, found.keys) == ("house-prices", "regression", "SalePrice", ("Id",))
    assert found.load().equals(load())


def test_the_signature_is_the_declared_one_with_the_two_nullable_columns(source: SourceSpec) -> None:
    signature = learn_signature(load(), source)
    kinds = dict.fromkeys([*COLUMNS][1:-1], "integer") | {"BsmtFinSF2": "number", "TotalBsmtSF": "number"}
    kinds |= dict.fromkeys(("MSZoning", "LotConfig", "BldgType", "Exterior1st"), "category")
    assert [(f.name, f.kind) for f in signature.features] == [*kinds.items()]
    assert [f.name for f in signature.features if f.nullable] == ["BsmtFinSF2", "TotalBsmtSF"]


def test_the_shipped_table_meets_every_expectation(source: SourceSpec) -> None:
    table = load()
    report = validate(table, source, learn_signature(table, source))
    assert report.success
    assert report.failed == ()
    assert report.rows == 2930
    declared = [f.expectation for f in report.findings if f.origin == "source"]
    assert declared == [e["type"] for e in source.expectations]


def test_each_expectation_sees_a_table_that_breaks_it(source: SourceSpec) -> None:
    table = load()
    bad: dict[str, Any] = {"SalePrice": 0, "LotArea": 0, "OverallCond": 11, "YearBuilt": 193, "YearRemodAdd": 20000}
    bad |= {"TotalBsmtSF": -1.0, "BsmtFinSF2": -1.0, "BldgType": "Castle"}
    signature = learn_signature(table, source)
    for row, (column, value) in enumerate(bad.items()):
        table.loc[row, column] = value
    table.loc[1000:1300, "TotalBsmtSF"] = float("nan")
    report = validate(table, source, signature)
    assert not report.success
    found = [(f.severity, f.column, f.unexpected) for f in report.findings if f.origin == "source" and not f.success]
    critical = ["SalePrice", "LotArea", "OverallCond", "YearBuilt", "YearRemodAdd", "TotalBsmtSF", "BsmtFinSF2"]
    warnings = [("SalePrice", 1), ("TotalBsmtSF", 302), ("BldgType", 1)]
    assert found == [("critical", c, 1) for c in critical] + [("warning", c, n) for c, n in warnings]


def test_an_odd_price_is_a_warning_and_no_more(source: SourceSpec) -> None:
    table = pd.concat([load().head(30), load().head(1).assign(Id=31, SalePrice=5000)], ignore_index=True)
    report = validate(table, source, learn_signature(table, source))
    assert report.success
    assert [(f.severity, f.column, f.examples) for f in report.failed] == [("warning", "SalePrice", (5000,))]
