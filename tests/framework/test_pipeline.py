"""The whole way, in one process: what a run publishes, what it tells, and what it refuses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import SplineTransformer

from pegboard import ModelSpec, PreprocessorSpec, SourceSpec, SplitterSpec, Wants
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import BundleError, ConfigError, PluginError, TrainingError, ValidationFailed
from pegboard.frames import conform
from pegboard.manager import Manager
from pegboard.predictor import Predictor
from pegboard.registry import Registry
from pegboard.signature import Signature
from pegboard.training.pipeline import Run, run

Board = tuple[Manager, Catalog]


def linear(rows: int = 60, **columns: Any) -> pd.DataFrame:
    x = np.arange(rows, dtype=float)
    return pd.DataFrame({"x": x, "y": 3 * x + np.sin(x), **columns})


def source(frame: pd.DataFrame, **more: Any) -> SourceSpec:
    return SourceSpec(name="table", task="regression", target="y", load=lambda: frame, **more)


def train(board: Board, registry: Path, **settings: Any) -> Run:
    defaults: dict[str, Any] = {"name": "lines", "source": "table", "models": ("linear-regression", "svr")}
    return run(Experiment(**{**defaults, "registry": str(registry), **settings}), *board)


@pytest.fixture
def board(board_with: Callable[..., Board]) -> Board:
    return board_with(register_sources=[source(linear())])


def comparable(done: Run) -> Any:
    """A run's leaderboard without what a clock measured."""
    plain = done.leaderboard.to_dict()
    return [{k: v for k, v in row.items() if k != "fit_seconds"} for row in plain["candidates"]]


def test_a_run_publishes_the_winner_with_all_that_is_known_of_it(board: Board, tmp_path: Path) -> None:
    done = train(board, tmp_path / "r")
    registry = Registry(tmp_path / "r")
    bundle = registry.open(registry.resolve("lines"))
    manifest = bundle.manifest
    assert str(done.version) == "lines/1"
    assert done.winner.candidate.name == bundle.model == "linear-regression"
    assert manifest["metrics"]["beats_baseline"] is True
    assert manifest["metrics"]["holdout"] == pytest.approx(done.winner.holdout_score)
    assert 0 < manifest["metrics"]["holdout_rows"] < 30
    assert {"name": "sklearn", "distribution": "pegboard-sklearn", "version": "0.1.0"} in manifest["plugins"]
    assert manifest["libraries"]["scikit-learn"]
    assert bundle.leaderboard == done.leaderboard
    assert json.loads(bundle.read("validation.json"))["success"] is True
    registry.verify(done.version)


def test_a_bundle_predicts_after_loading_what_it_predicted_before_saving(board: Board, tmp_path: Path) -> None:
    done = train(board, tmp_path / "r")
    bundle = Registry(tmp_path / "r").open(done.version)
    frame = linear(200)
    before = done.winner.pipeline.predict(conform(frame, bundle.signature))
    np.testing.assert_array_equal(Predictor.load(bundle).predict(frame).values, before)


def test_runs_repeat(catalog: Catalog, manager: Manager, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"source": "house-prices", "models": ("random-forest-regressor",), "folds": 3}
    settings["model_params"] = {"random-forest-regressor": {"n_estimators": 10}}
    one, two = (train((manager, catalog), tmp_path / name, **settings) for name in ("a", "b"))
    assert comparable(one) == comparable(two)
    bundles = [Registry(tmp_path / name).open(done.version) for name, done in (("a", one), ("b", two))]
    assert bundles[0].replay() == bundles[1].replay()
    assert bundles[0].manifest["data"]["fingerprint"] == bundles[1].manifest["data"]["fingerprint"]
    other = train((manager, catalog), tmp_path / "c", **settings, seed=1)
    assert comparable(other) != comparable(one)


def test_rows_in_another_order_are_held_out_all_the_same(board_with: Callable[..., Board], tmp_path: Path) -> None:
    frame = linear(80)
    scores = []
    for name, rows in (("a", frame), ("b", frame.sample(frac=1, random_state=1))):
        done = train(board_with(register_sources=[source(rows)]), tmp_path / name)
        scores.append((done.winner.holdout_rows, done.winner.holdout_score))
    assert scores[0] == (scores[1][0], pytest.approx(scores[1][1]))


def test_no_model_named_means_that_every_installed_one_competes(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    mine = ModelSpec(name="mine", task="regression", make=LinearRegression)
    other = ModelSpec(name="other-task", task="classification", make=LinearRegression)
    board = board_with(register_sources=[source(linear())], register_models=[mine, other])
    names = {c.name for c in train(board, tmp_path / "r", models=()).leaderboard.candidates}
    assert names == {"mine", "linear-regression", "svr", "random-forest-regressor", "dummy-regressor"}


def test_the_baseline_competes_even_if_only_one_model_is_named(board: Board, tmp_path: Path) -> None:
    candidates = train(board, tmp_path / "r", models=("svr",)).leaderboard.candidates
    assert {c.name for c in candidates} == {"svr", "dummy-regressor"}


def test_parameters_reach_the_model(board: Board, tmp_path: Path) -> None:
    done = train(board, tmp_path / "r", models=("svr",), model_params={"svr": {"C": 7.5}})
    assert done.winner.pipeline.get_params()["model__regressor__C"] == 7.5


def test_an_experiment_names_its_preprocessor_and_its_splitter(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    cut: list[tuple[str, int, int]] = []

    def in_order(task: Any, folds: int, seed: int) -> KFold:
        cut.append((task, folds, seed))
        return KFold(folds)

    def spline(signature: Signature, wants: Wants) -> SplineTransformer:
        assert [f.name for f in signature.features] == ["x"]
        assert wants == Wants(scaling=True)
        return SplineTransformer()

    board = board_with(
        register_sources=[source(linear())],
        register_preprocessors=[PreprocessorSpec(name="spline", make=spline)],
        register_splitters=[SplitterSpec(name="in-order", make=in_order)],
    )
    done = train(board, tmp_path / "r", preprocessor="spline", splitter="in-order", folds=3, seed=5)
    assert cut == [("regression", 3, 5)]
    assert isinstance(done.winner.pipeline["preprocess"], SplineTransformer)


def test_a_model_no_better_than_the_baseline_says_so(board_with: Callable[..., Board], tmp_path: Path) -> None:
    useless = ModelSpec(name="useless", task="regression", make=DummyRegressor)
    board = board_with(register_sources=[source(linear())], register_models=[useless])
    done = train(board, tmp_path / "r", models=("useless",))
    assert done.to_dict()["beats_baseline"] is False
    assert Registry(tmp_path / "r").open(done.version).manifest["metrics"]["beats_baseline"] is False


def test_the_champion_stays_on_a_tie(board_with: Callable[..., Board], tmp_path: Path) -> None:
    twins = [ModelSpec(name=n, task="regression", make=LinearRegression) for n in ("a-twin", "b-twin")]
    board = board_with(register_sources=[source(linear())], register_models=twins)
    first = train(board, tmp_path / "r", models=("b-twin",))
    assert first.winner.candidate.name == "b-twin"
    assert train(board, tmp_path / "r", models=("a-twin", "b-twin")).winner.candidate.name == "b-twin"
    assert train(board, tmp_path / "new", models=("a-twin", "b-twin")).winner.candidate.name == "a-twin"


def test_observers_are_told_in_order_and_cannot_change_the_table(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    told: list[str] = []

    def after_load(experiment: str, frame: Any) -> None:
        told.append(f"load {experiment} {len(frame)}")
        frame["y"] = 0.0

    board = board_with(
        register_sources=[source(linear())],
        after_load=after_load,
        after_validate=lambda report: told.append(f"validate {report.success}"),
        after_candidate=lambda candidate: told.append(f"candidate {candidate.name}"),
        after_compare=lambda leaderboard: told.append(f"compare {len(leaderboard.candidates)}"),
        after_publish=lambda version: told.append(f"publish {version}"),
    )
    done = train(board, tmp_path / "r", models=("linear-regression",))
    assert told[:2] == ["load lines 60", "validate True"]
    assert sorted(told[2:4]) == ["candidate dummy-regressor", "candidate linear-regression"]
    assert told[4:] == ["compare 2", "publish lines/1"]
    assert done.leaderboard["dummy-regressor"].mean > 1


def test_invalid_data_stops_the_run_before_training_and_publishes_nothing(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    told: list[Any] = []
    rule = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "max_value": 57}}
    board = board_with(
        register_sources=[source(linear(), expectations=[rule])],
        after_validate=lambda report: told.append(report.success),
        after_candidate=lambda candidate: told.append(candidate),
    )
    with pytest.raises(ValidationFailed, match=r"breaks 1 critical expectation, so nothing was trained") as failure:
        train(board, tmp_path / "r")
    assert "2 rows, such as 58.0, 59.0 (row 58, 59)" in str(failure.value)
    assert told == [False]
    assert not (tmp_path / "r").exists()


def test_data_that_differs_from_the_previous_version_is_warned_about(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    train(board_with(register_sources=[source(linear())]), tmp_path / "r")
    done = train(board_with(register_sources=[source(linear(90))]), tmp_path / "r")
    assert [(f.origin, f.column) for f in done.report.failed] == [("lines/1", "x")]
    assert str(done.version) == "lines/2"


def test_a_damaged_previous_version_does_not_stop_the_next(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = train(board, tmp_path / "r")
    (Registry(tmp_path / "r").open(first.version).directory / "manifest.json").write_text("{}")
    with caplog.at_level(logging.WARNING, logger="pegboard"):
        assert str(train(board, tmp_path / "r").version) == "lines/2"
    assert "lines/1 is damaged, so this run is not compared with it" in caplog.text


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"models": ("svc",)}, ConfigError, "model 'svc' is for classification, and the task is regression"),
        ({"models": ("srv",)}, PluginError, "no model named 'srv'; did you mean 'svr'"),
        ({"scorer": "rmsse"}, PluginError, "no scorer named 'rmsse'; did you mean 'rmse'"),
        ({"scorer": "accuracy"}, ConfigError, "scorer 'accuracy' is for classification, and the task is regression"),
        ({"criterion": "best"}, PluginError, "no criterion named 'best'"),
        ({"source": "tabel"}, PluginError, "no source named 'tabel'; did you mean 'table'"),
        ({"source_options": {"pth": 1}}, ConfigError, "source 'table' has no option 'pth'"),
        ({"model_params": {"svr": {"c": 1}}}, ConfigError, "model 'svr' has no option 'c'; did you mean 'C'"),
        ({"model_params": {"srv": {}}}, PluginError, "no model named 'srv'"),
        ({"folds": 50}, TrainingError, r"\d+ training rows are too few for 50 folds: it takes 100"),
    ],
)
def test_wrong_names_and_numbers_are_errors_with_the_remedy(
    settings: dict[str, Any], error: type[Exception], message: str, board: Board, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train(board, tmp_path / "r", **settings)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("scorer", ["neg_root_mean_squared_error", "neg-root-mean-squared-error"])
def test_scikit_learns_own_scorers_need_no_plugin(scorer: str, board: Board, tmp_path: Path) -> None:
    done = train(board, tmp_path / "r", scorer=scorer)
    assert done.leaderboard.scorer == "neg-root-mean-squared-error"
    assert done.leaderboard["svr"].mean < 0


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: 1 / 0, "source 'table' failed: ZeroDivisionError: division by zero"),
        (lambda: [1], "source 'table' gave a list, not a pandas.DataFrame"),
        (pd.DataFrame, "source 'table' gave a table without rows or columns"),
    ],
)
def test_a_source_that_fails_is_named(
    load: Callable[[], Any], message: str, board_with: Callable[..., Board], tmp_path: Path
) -> None:
    broken = SourceSpec(name="table", task="regression", target="y", load=load)
    with pytest.raises(Exception, match=message):
        train(board_with(register_sources=[broken]), tmp_path / "r")


class Forgetful(LinearRegression):  # type: ignore[misc]
    """Loses what it has learned when it is pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "intercept_": 0.0}


def test_a_model_that_a_pickle_changes_is_not_published(board_with: Callable[..., Board], tmp_path: Path) -> None:
    forgetful = ModelSpec(name="forgetful", task="regression", make=Forgetful)
    board = board_with(register_sources=[source(linear())], register_models=[forgetful])
    with pytest.raises(BundleError, match="model 'forgetful' predicts differently after it was pickled and read back"):
        train(board, tmp_path / "r", models=("forgetful",))
    assert Registry(tmp_path / "r").versions() == []


@pytest.mark.parametrize("scorer", ["log-loss", "accuracy", "roc-auc", "f1"])
def test_a_classification_with_a_class_too_rare_for_the_folds(
    scorer: str, board_with: Callable[..., Board], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["common"] * 60 + ["other"] * 38 + ["rare"] * 2)
    frame = pd.DataFrame({"x": rng.normal(size=100) + (labels == "other"), "y": labels})
    rare = SourceSpec(name="table", task="classification", target="y", load=lambda: frame)
    with caplog.at_level(logging.WARNING, logger="pegboard"):
        done = train(board_with(register_sources=[rare]), tmp_path / "r", models=(), scorer=scorer, folds=5)
    assert caplog.messages == ["fewer training rows than folds, so some folds lack these classes: rare"]
    assert [c.error for c in done.leaderboard.candidates] == [None] * 4
    bundle = Registry(tmp_path / "r").open(done.version)
    assert bundle.signature.classes == ("common", "other", "rare")
    assert Predictor.load(bundle).predict(frame).probabilities.shape == (100, 3)  # type: ignore[union-attr]
