"""What options say of a table, what is inferred from it, and how often it is read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pegboard import DataError
from pegboard.errors import ConfigError
from pegboard_files.plugin import configure

Load = Callable[..., pd.DataFrame]


def task(tmp_path: Path, *target: str, **options: Any) -> str:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{row}.5,{value}\n" for row, value in enumerate(target)))
    return configure(path=str(tmp_path / "t.csv"), target="y", **options).task


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("a", "b"), "classification"),
        (("true", "false"), "classification"),
        (("007", "008"), "classification"),
        (("1.5", "2.5"), "regression"),
        (("0", "1"), "regression"),
        (("1", ""), "regression"),
    ],
)
def test_texts_and_booleans_are_classes_and_numbers_are_not(
    tmp_path: Path, values: tuple[str, ...], expected: str
) -> None:
    assert task(tmp_path, *values) == expected


def test_few_integers_are_a_number_and_a_person_is_told_how_to_change_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pegboard"):
        assert task(tmp_path, "0", "1") == "regression"
    assert "'y' has 2 distinct integers and is taken as a number" in caplog.text
    assert "--set task=classification" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pegboard"):
        assert task(tmp_path, "0", "1", task="classification") == "classification"
        assert task(tmp_path, *map(str, range(21))) == "regression"
    assert not caplog.text


@pytest.mark.parametrize(
    ("cells", "warned"),
    [
        ([f"{i}" for i in range(30)], True),
        ([f"{i * i}" for i in range(30)], False),
        ([f"name {i}" for i in range(30)], True),
        (["a", "b", "c"] * 10, False),
        ([f"{i}.5" for i in range(30)], False),
        ([f"{i}" for i in range(10)], False),
    ],
)
def test_a_column_that_looks_like_a_key_is_told_to_a_person(
    loaded: Load, caplog: pytest.LogCaptureFixture, cells: list[str], warned: bool
) -> None:
    content = "x,y\n" + "".join(f"{cell},{row % 7}.5\n" for row, cell in enumerate(cells))
    with caplog.at_level(logging.WARNING, "pegboard"):
        loaded(content)
    assert ('keys = ["x"]' in caplog.text) is warned
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pegboard"):
        loaded(content, features=["x"])
    assert not caplog.text


def test_the_table_is_read_once_to_infer_from_and_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pegboard_files import table

    reads: list[str] = []
    real = table.read
    monkeypatch.setattr(table, "read", lambda *given: reads.append(given[1]) or real(*given))
    (tmp_path / "t.csv").write_text("x,y\n1.5,a\n2.5,b\n")
    source = configure(path=str(tmp_path / "t.csv"), target="y")
    assert source.load is not None
    assert len(reads) == 1
    source.load()
    assert len(reads) == 1
    source.load()
    assert len(reads) == 2
    declared = configure(path=str(tmp_path / "t.csv"), target="y", task="classification")
    assert len(reads) == 2
    assert declared.load is not None
    declared.load()
    assert len(reads) == 3


def test_listed_features_get_their_kinds_and_no_other_column_is_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,other,z,y\n1,2,a,1.5\n")
    source = configure(path=str(tmp_path / "t.csv"), target="y", features=["z", "x"])
    assert source.features == {"z": "category", "x": "integer"}
    assert source.load is not None
    assert [*source.load()] == ["x", "z", "y"]


SIGNATURE = {"target": "y", "task": "classification", "keys": ["id"], "features": {"x": "number"}, "drop": ["z"]}


@pytest.mark.parametrize("name", ["signature.json", "signature.toml"])
def test_a_signature_file_says_what_the_options_would(tmp_path: Path, name: str) -> None:
    toml = 'target="y"\ntask="classification"\nkeys=["id"]\ndrop=["z"]\n[features]\nx="number"\n'
    (tmp_path / name).write_text(json.dumps(SIGNATURE) if name.endswith("json") else toml)
    (tmp_path / "t.csv").write_text("id,x,y,z\n1,1,a,2020-01-01\n")
    source = configure(path=str(tmp_path / "t.csv"), signature=str(tmp_path / name))
    assert (source.target, source.task, source.keys, source.features) == (
        "y",
        "classification",
        ("id",),
        {"x": "number"},
    )
    assert source.load is not None
    assert [*source.load()] == ["id", "x", "y"]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (SIGNATURE, {"target": "y"}, "target is in .* and among the options: say it once"),
        ({**SIGNATURE, "tarket": 1}, {}, "unknown setting 'tarket'; did you mean 'target'"),
        ({**SIGNATURE, "task": "rank"}, {}, "task is 'rank'"),
        ({**SIGNATURE, "features": {"x": "date"}}, {}, "'x' has kind 'date'"),
        ({**SIGNATURE, "drop": ["x"]}, {}, "'x' is in features and in drop"),
        ([], {}, "is no table of settings"),
    ],
)
def test_a_signature_file_that_makes_no_sense_is_refused(
    tmp_path: Path, content: object, options: dict[str, Any], said: str
) -> None:
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=said):
        configure(path="t.csv", signature=str(tmp_path / "s.json"), **options)


def test_a_signature_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{")
    for name in ("s.json", "none.toml"):
        with pytest.raises(ConfigError, match=f"cannot read the signature .*{name}"):
            configure(path="t.csv", signature=str(tmp_path / name))


@pytest.mark.parametrize("role", ["target", "keys", "features", "drop"])
def test_a_column_that_is_not_there_is_named_with_what_is_near(loaded: Load, role: str) -> None:
    options: dict[str, Any] = {"target": "price", "keys": [], "features": [], "drop": []}
    options[role] = "prize" if role == "target" else ["arae"]
    with pytest.raises(DataError, match=rf"{role}: there is no column '(prize|arae)'; did you mean '(price|area)'"):
        loaded("id,area,price\n1,2,3.5\n", **options)


def test_a_target_without_values_has_no_task(loaded: Load) -> None:
    with pytest.raises(DataError, match="target 'y' has no values"):
        loaded("x,y\n1,\n2,\n")
