"""The whole way, in one process: what a run publishes, what it tells, and what it refuses."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import issparse
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import SplineTransformer

from pegboard import CriterionSpec, ModelSpec, PreprocessorSpec, ScorerSpec, SourceSpec, SplitterSpec, Wants
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import BundleError, ConfigError, PluginError, RegistryError, TrainingError, ValidationFailed
from pegboard.fingerprint import row_shares
from pegboard.frames import conform
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.learning import learn_signature
from pegboard.manager import Manager, load_plugins
from pegboard.predictor import Predictor
from pegboard.registry import Registry
from pegboard.report import ValidationReport
from pegboard.signature import Signature
from pegboard.testing.strategies import frames, signatures
from pegboard.training.candidate import Contender
from pegboard.training.pipeline import Run, run
from pegboard.training.publish import Trained, publish
from pegboard.training.values import Table, Winner

Board = tuple[Manager, Catalog]
INSTALLED = Catalog(load_plugins())


def linear(rows: int = 60, **columns: Any) -> pd.DataFrame:
    x = np.arange(rows, dtype=float)
    return pd.DataFrame({"x": x, "y": 3 * x + np.sin(x)}).assign(**columns)


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
    origin = {"name": "sklearn", "distribution": "pegboard-sklearn", "version": version("pegboard-sklearn")}
    assert origin in manifest["plugins"]
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
        frame.loc[:, "y"] = 0.0
        frame["x"] = 0.0

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
    assert Registry(tmp_path / "r").versions() == []


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
    assert Registry(tmp_path / "r").versions() == []


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


class Refuses(LinearRegression):  # type: ignore[misc]
    """Learns from folds and from the training part, and from no more."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        if len(X) == 60:
            raise RuntimeError("too many rows")
        return super().fit(X, y)


class Unpicklable(LinearRegression):  # type: ignore[misc]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        self.link_ = lambda value: value
        return super().fit(X, y)


def fails(*_: Any) -> Any:
    raise KeyError("odd")


def model(make: Callable[..., Any]) -> dict[str, Any]:
    return {"register_models": [ModelSpec(name="odd", task="regression", make=make)]}


@pytest.mark.parametrize(
    ("hooks", "chosen", "message"),
    [
        (model(Refuses), {"models": ("odd",)}, "model 'odd' failed: RuntimeError: too many rows"),
        (model(Unpicklable), {"models": ("odd",)}, "pickling model 'odd' failed: "),
        (
            {"register_scorers": [ScorerSpec(name="odd", tasks=("regression",), make=fails)]},
            {"scorer": "odd"},
            "scorer 'odd' failed: KeyError: 'odd'",
        ),
        (
            {"register_criteria": [CriterionSpec(name="odd", choose=fails)]},
            {"criterion": "odd"},
            "criterion 'odd' failed: KeyError: 'odd'",
        ),
        (
            {"register_splitters": [SplitterSpec(name="odd", make=fails)]},
            {"splitter": "odd"},
            "splitter 'odd' failed: KeyError: 'odd'",
        ),
    ],
)
def test_whatever_a_plugin_raises_is_an_error_that_names_it(
    hooks: Any, chosen: Any, message: str, board_with: Callable[..., Board], tmp_path: Path
) -> None:
    board = board_with(register_sources=[source(linear())], **hooks)
    with pytest.raises(PluginError, match=message):
        train(board, tmp_path / "r", **chosen)
    assert Registry(tmp_path / "r").versions() == []


def test_a_hold_out_too_small_for_the_scorer_costs_that_figure_alone(
    board_with: Callable[..., Board], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = board_with(register_sources=[source(linear(20))])
    share = next(h / 1000 for h in range(1, 500) if held_out(linear(20), h / 1000) == 1)
    with caplog.at_level(logging.WARNING, logger="pegboard"):
        done = train(board, tmp_path / "r", scorer="r2", holdout=share)
    assert (done.winner.holdout_rows, done.winner.holdout_score) == (1, None)
    assert "no r2 on the 1 rows held out: the score is nan" in caplog.text
    assert Registry(tmp_path / "r").open(done.version).manifest["metrics"]["holdout"] is None


def held_out(frame: pd.DataFrame, share: float) -> int:
    return int(np.sum(row_shares([frame["x"].to_numpy()], len(frame)) < share))


def test_expectations_may_hold_what_json_cannot_say(board_with: Callable[..., Board], tmp_path: Path) -> None:
    between = {"column": "x", "min_value": 0, "max_value": float("inf")}
    rules = [
        {"type": "expect_column_values_to_be_between", "kwargs": between},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "z", "value_set": {"a", "b"}}},
    ]
    done = train(board_with(register_sources=[source(linear(z="a"), expectations=rules)]), tmp_path / "r")
    stored = json.loads(Registry(tmp_path / "r").open(done.version).read("validation.json"))
    assert stored["findings"][0]["kwargs"]["max_value"] == "inf"


def test_a_contested_name_stops_only_who_asks_for_it(board_with: Callable[..., Board], tmp_path: Path) -> None:
    rivals = [ModelSpec(name=name, task="classification", make=LinearRegression) for name in ("svc", "dummy-regressor")]
    board = board_with(register_sources=[source(linear())], register_models=rivals)
    named = train(board, tmp_path / "r", models=("linear-regression",)).leaderboard.candidates
    assert [c.name for c in named] == ["linear-regression"]
    with pytest.raises(PluginError, match="model 'dummy-regressor' is registered by"):
        train(board, tmp_path / "r", models=())


def test_a_name_keeps_its_task_and_its_target(board_with: Callable[..., Board], tmp_path: Path) -> None:
    train(board_with(register_sources=[source(linear())]), tmp_path / "r")
    other = SourceSpec(name="table", task="regression", target="x", load=linear)
    with pytest.raises(ConfigError, match=r"lines/1 is a regression of 'y', and this is a regression of 'x'.*--name"):
        train(board_with(register_sources=[other]), tmp_path / "r")


def test_a_registry_that_cannot_be_written_stops_the_run_before_anything_is_fitted(
    board_with: Callable[..., Board], tmp_path: Path
) -> None:
    fitted: list[Any] = []
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".partial").write_text("in the way")
    board = board_with(register_sources=[source(linear())], after_candidate=lambda candidate: fitted.append(candidate))
    with pytest.raises(RegistryError, match="cannot write to the registry at"):
        train(board, tmp_path / "r")
    assert fitted == []


@pytest.mark.parametrize("name", sorted(INSTALLED.names(ModelSpec)))
@settings(max_examples=8)
@given(data=st.data())
def test_whatever_fits_a_signature_is_published_and_answers_as_before(name: str, data: st.DataObject) -> None:
    model = INSTALLED.get(ModelSpec, name)
    declared = data.draw(signatures().filter(lambda s: s.task == model.task))
    frame = data.draw(frames(declared, min_rows=40, max_rows=50)).reset_index(drop=True)
    kinds = {f.name: f.kind for f in declared.features}
    any_table = SourceSpec(name="any", task=declared.task, target=declared.target, load=pd.DataFrame, features=kinds)
    table = Table.of(frame, learn_signature(frame, any_table))
    params = {"n_estimators": 5} if "forest" in name else {}
    contender = Contender(model, INSTALLED.get(PreprocessorSpec, "tabular"), table.signature, 0, params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = contender.build().fit(table.features, table.target)
    board = Leaderboard.of("rmse", False, [Candidate(name, (1.0, 2.0))])
    winner = Winner(board.candidates[0], pipeline, None, 0)
    experiment, report = Experiment(name="any", source="any"), ValidationReport(len(frame), ())
    with tempfile.TemporaryDirectory() as directory:
        registry = Registry(directory)
        version = publish(Trained(experiment, table, report, board, winner, ()), registry)
        loaded = Predictor.load(registry.open(version))
    before, after = Predictor(pipeline, table.signature).predict(frame), loaded.predict(frame)
    np.testing.assert_array_equal(after.values, before.values)
    if before.probabilities is not None:
        np.testing.assert_array_equal(after.probabilities, before.probabilities)


class Reversed(DummyClassifier):  # type: ignore[misc]
    """Orders its classes the other way round."""

    @property
    def classes_(self) -> Any:
        return self._classes[::-1]

    @classes_.setter
    def classes_(self, classes: Any) -> None:
        self._classes = classes


def test_classes_in_another_order_are_not_published(board_with: Callable[..., Board], tmp_path: Path) -> None:
    frame = linear(y=["a", "b"] * 30)
    labelled = SourceSpec(name="table", task="classification", target="y", load=lambda: frame)
    odd = ModelSpec(name="odd", task="classification", make=Reversed)
    board = board_with(register_sources=[labelled], register_models=[odd])
    with pytest.raises(PluginError, match=r"model 'odd' has the classes .*; in sorted order they are"):
        train(board, tmp_path / "r", models=("odd",), scorer="accuracy")
    assert Registry(tmp_path / "r").versions() == []


def test_options_may_be_dates(board_with: Callable[..., Board], tmp_path: Path) -> None:
    dated = SourceSpec(name="table", task="regression", target="y", load=lambda since: linear())
    done = train(board_with(register_sources=[dated]), tmp_path / "r", source_options={"since": date(2026, 11, 23)})
    manifest = Registry(tmp_path / "r").open(done.version).manifest
    assert manifest["experiment"]["source_options"] == {"since": "2026-11-23"}


@pytest.mark.parametrize("dense", [True, False])
def test_a_model_gets_the_matrix_that_it_wants(dense: bool, board_with: Callable[..., Board], tmp_path: Path) -> None:
    seen: set[bool] = set()

    class Looks(LinearRegression):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            seen.add(issparse(X))
            raise ValueError("seen enough")

    rooms = [f"room {number}" for number in range(10)] * 40
    looks = ModelSpec(name="looks", task="regression", make=Looks, wants=Wants(dense=dense))
    board = board_with(register_sources=[source(linear(400, z=rooms))], register_models=[looks])
    with pytest.raises(TrainingError, match="seen enough"):
        train(board, tmp_path / "r", models=("looks",), isolation="thread")
    assert seen == {not dense}
