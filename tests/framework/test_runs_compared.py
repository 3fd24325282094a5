"""What a record can hold, and what two records say about one another."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from pegboard import SourceSpec
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import DataError
from pegboard.manager import Manager
from pegboard.registry import Registry
from pegboard.runs.comparison import differences, incomparable, scores
from pegboard.runs.record import RunRecord, Runs, plain
from pegboard.training.pipeline import Run, run

Board = tuple[Manager, Catalog]
MODELS = ("linear-regression", "svr")


def lines(rows: int = 60, **columns: Any) -> pd.DataFrame:
    x = np.arange(rows, dtype=float)
    return pd.DataFrame({"Id": range(rows), "x": x, "y": 3 * x + np.sin(x)}).assign(**columns)


def source(load: Callable[[], pd.DataFrame] = lines, **more: Any) -> SourceSpec:
    return SourceSpec(name="table", task="regression", target="y", load=load, keys=("Id",), **more)


def train(board: Board, registry: Path, **settings: Any) -> Run:
    defaults: dict[str, Any] = {"name": "lines", "source": "table", "models": MODELS}
    return run(Experiment(**{**defaults, "registry": str(registry), **settings}), *board)


def recorded(registry: Path, number: int = 1) -> RunRecord:
    return Runs(Registry(str(registry)).store).get(number)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(anything)
def test_whatever_a_parameter_is_its_record_is_strict_json_and_stays_as_it_is(value: Any) -> None:
    written = json.dumps(plain(value), allow_nan=False)
    assert json.loads(written) == plain(value) == plain(plain(value))


def test_parameters_are_written_as_people_read_them() -> None:
    values = [np.float64(2.5), np.int64(3), np.bool_(True), float("nan"), float("-inf"), {3, 1}, date(2026, 11, 23)]
    assert plain(values) == [2.5, 3, True, "nan", "-inf", [1, 3], "2026-11-23"]
    assert type(plain(np.float64(2.5))) is float
    assert plain({"model": Ridge(alpha=2), "of": Ridge, "by": np.mean}) == {
        "model": "Ridge(alpha=2)",
        "of": "sklearn.linear_model._ridge.Ridge",
        "by": "numpy.mean",
    }
    assert plain(object()) == plain(object()) == "<object object>"


def test_runs_on_the_same_folds_are_compared_in_pairs(board_with: Callable[..., Board], tmp_path: Path) -> None:
    board = board_with(register_sources=[source()])
    train(board, tmp_path / "r")
    train(board, tmp_path / "r", model_params={"svr": {"C": 100.0}})
    train(board, tmp_path / "r", seed=1)
    one, two, three = (recorded(tmp_path / "r", number) for number in (1, 2, 3))
    assert incomparable(one, two) == []
    assert incomparable(one, three) == ["other folds: seed is 0 and 1"]
    rows = {row.candidate: row for row in scores([one, two, three])}
    assert rows["linear-regression"].differences == (None, (0.0, 0.0), None)
    gaps = np.subtract(two.leaderboard["svr"].scores, one.leaderboard["svr"].scores)  # type: ignore[index]
    mean, error = rows["svr"].differences[1]  # type: ignore[misc]
    assert mean == pytest.approx(gaps.mean())
    assert mean < 0
    assert error == pytest.approx(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    changed = {(row.section, row.what): row.values for row in differences([one, two]) if row.section != "seconds"}
    assert changed[("parameters", "svr.regressor__C")] == (1.0, 100.0)
    assert changed[("outcome", "version")] == ("lines/1", "lines/2")
    assert {section for section, _ in changed} == {"experiment", "parameters", "outcome"}


def test_runs_on_other_data_or_by_another_scorer_are_not_compared(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    train(board_with(register_sources=[source()]), tmp_path / "r")
    train(board_with(register_sources=[source(lambda: lines(w=1.5))]), tmp_path / "r", scorer="r2")
    with pytest.raises(DataError):
        train(board_with(register_sources=[source(lambda: 1 / 0)]), tmp_path / "r")
    one, two, three = (recorded(tmp_path / "r", number) for number in (1, 2, 3))
    assert incomparable(one, two) == ["other data", "another scorer: rmse and r2"]
    assert incomparable(one, three) == ["the data of one of them is not known", "another scorer: rmse and none"]
    assert all(row.differences == (None, None, None) for row in scores([one, two, three]))
    columns = [row for row in differences([one, two]) if row.section == "columns"]
    assert [(row.what, row.values) for row in columns] == [("w", (None, "feature, number, 0 missing"))]
