"""A run that tunes: what it publishes, what its record says, what the report shows, and what is refused before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pegboard import SourceSpec
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.errors import ConfigError, PluginError
from pegboard.gate.recipe import Recipe
from pegboard.manager import Manager
from pegboard.registry import Registry
from pegboard.runs.record import RunRecord, Runs
from pegboard.runs.report import render
from pegboard.training import pipeline
from pegboard.training.pipeline import Listener, Run
from pegboard.tuning import Trial
from pegboard_optuna.plugin import register_tuners

Board = tuple[Manager, Catalog]
MODELS = ("svr", "linear-regression")


def waves() -> pd.DataFrame:
    x = np.linspace(0, 12, 80)
    return pd.DataFrame({"x": x, "y": np.sin(x) * 100})


@pytest.fixture
def board(board_with: Callable[..., Board]) -> Board:
    source = SourceSpec(name="waves", target="y", load=waves)
    return board_with(register_sources=[source], register_tuners=register_tuners())


@pytest.fixture
def train(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    monkeypatch.chdir(tmp_path)

    def run(listener: Listener | None = None, **settings: Any) -> Run:
        told = {
            "models": MODELS,
            "tune": "6",
            "isolation": "thread",
            "folds": 3,
            "registry": str(tmp_path / "registry"),
        }
        return pipeline.run(Experiment(**{"name": "waves", "source": "waves", **told, **settings}), *board, listener)

    return run


def record(done: Run, tmp_path: Path) -> RunRecord:
    return Runs(Registry(str(tmp_path / "registry")).store).get(done.number)


def test_the_parameters_found_compete_are_published_and_can_be_made_again(
    train: Callable[..., Run], board: Board, tmp_path: Path
) -> None:
    done = train(model_params={"svr": {"epsilon": 0.25}})
    (tuning,) = record(done, tmp_path).tunings
    assert done.leaderboard["svr"].mean == pytest.approx(tuning.after, rel=1e-12)
    bundle = Registry(str(tmp_path / "registry")).open(done.version)
    assert bundle.manifest["experiment"]["model_params"] == {"svr": {"epsilon": 0.25, **tuning.params}}
    recipe = Recipe.of("waves", bundle, board[1])
    assert recipe.contender(waves(), board[1].get(SourceSpec, "waves")).params == {"epsilon": 0.25, **tuning.params}
    held = done.winner.pipeline["model"].regressor.get_params()
    assert {name: held[name] for name in tuning.params} == tuning.params


def test_the_record_has_every_trial_and_survives_its_file(train: Callable[..., Run], tmp_path: Path) -> None:
    found = record(train(), tmp_path)
    (tuning,) = found.tunings
    assert [trial.number for trial in tuning.trials] == list(range(6))
    assert (tuning.model, tuning.before is not None, tuning.resumed) == ("svr", True, 0)
    assert found.experiment["tune"] == "6"
    assert list(found.timings)[4:6] == ["tune", "compare"]
    assert (
        RunRecord(**{**json.loads(found.to_bytes()), "tuning": found.tuning, "candidates": found.candidates}) == found
    )
    assert found.parameters["svr"]["regressor__C"] == pytest.approx(tuning.params["C"])


def test_without_tune_a_run_uses_the_configuration_as_ever(train: Callable[..., Run], tmp_path: Path) -> None:
    train()
    done = train(tune="")
    assert record(done, tmp_path).tuning == ()
    assert record(done, tmp_path).parameters["svr"]["regressor__C"] == 1.0
    bundle = Registry(str(tmp_path / "registry")).open(done.version)
    assert bundle.manifest["experiment"]["model_params"] == {}
    assert "tuning" not in render(record(done, tmp_path))


def test_the_same_run_again_tries_nothing_anew_and_comes_to_the_same(train: Callable[..., Run], tmp_path: Path) -> None:
    first, again = record(train(), tmp_path), record(train(), tmp_path)
    assert again.tunings == tuple(replace(tuning, resumed=6) for tuning in first.tunings)
    assert [file.suffix for file in sorted((tmp_path / ".pegboard" / "tuning").iterdir())] == [".journal", ".lock"]


def test_a_listener_is_told_of_each_trial_and_of_the_end(train: Callable[..., Run]) -> None:
    class Noting(Listener):
        def __init__(self) -> None:
            self.told: list[Any] = []

        def trial(self, model: str, trial: Trial, greater_is_better: bool) -> None:
            self.told.append((model, trial.number, greater_is_better))

        def tuned(self, tunings: Any) -> None:
            self.told.append([tuning.model for tuning in tunings])

    listener = Noting()
    train(listener)
    assert listener.told == [*(("svr", number, False) for number in range(6)), ["svr"]]


def test_the_report_shows_what_was_tried_and_what_came_of_it(train: Callable[..., Run], tmp_path: Path) -> None:
    found = record(train(), tmp_path)
    (tuning,) = found.tunings
    page = render(found)
    assert "What tuning has found" in page
    assert f'aria-label="Best mean score so far of svr: trial {tuning.progress[0][0] + 1}' in page
    assert all(f"<code>{name} = {value:.4g}</code>" in page for name, value in tuning.params.items())
    assert "By optuna, seed 0, 6 trials for each model" in page
    assert "so its mean there is optimistic" in page


def test_the_report_of_a_search_in_which_all_failed_says_so(train: Callable[..., Run], tmp_path: Path) -> None:
    found = record(train(), tmp_path)
    failed = [{**t, "scores": [], "pruned": False, "error": "fold 1: no"} for t in found.tuning[0]["trials"]]
    page = render(replace(found, tuning=({**found.tuning[0], "trials": failed, "params": {}},)))
    assert "no trial has finished: it competed as it is" in page
    assert "Best mean score so far" not in page


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"tuner": "grid"}, PluginError, "no tuner named 'grid' is installed and loaded: pip install pegboard-grid"),
        ({"tuner": "optun"}, PluginError, "no tuner named 'optun' .*; did you mean 'optuna'"),
        ({"models": ("linear-regression",)}, ConfigError, "nothing is there to tune: linear-regression declare"),
        ({"model_params": {"svr": {"C": 1.0, "gamma": 0.1, "epsilon": 0.1}}}, ConfigError, "nothing is there to tune"),
        ({"tune": "soon"}, ConfigError, "tune is 'soon'"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_a_run_begins(
    settings: dict[str, Any], error: type[Exception], reason: str, train: Callable[..., Run], tmp_path: Path
) -> None:
    with pytest.raises(error, match=reason):
        train(**settings)
    assert not (tmp_path / "registry" / "runs").exists()
