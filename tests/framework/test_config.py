"""One experiment from file, environment and flags; a typo is an error that suggests the right word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pegboard.config import Experiment, load_experiment, registry_location
from pegboard.errors import ConfigError


def write(directory: Path, text: str) -> Path:
    path = directory / "pegboard.toml"
    path.write_text(text)
    return path


WHOLE = """
[experiment]
name = "prices"
source = "house-prices"
models = ["svr", "linear-regression"]
scorer = "mae"
criterion = "one-standard-error"
folds = 7
holdout = 0.1
seed = 3
registry = "elsewhere"

[source]
path = "data.csv"

[models.svr]
C = 10
"""


def test_a_file_says_everything(tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path, WHOLE), environ={}) == Experiment(
        name="prices",
        source="house-prices",
        models=("svr", "linear-regression"),
        scorer="mae",
        criterion="one-standard-error",
        folds=7,
        holdout=0.1,
        seed=3,
        registry="elsewhere",
        source_options={"path": "data.csv"},
        model_params={"svr": {"C": 10}},
    )


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    environ = {"PEGBOARD_FOLDS": "4", "PEGBOARD_SEED": "8", "PEGBOARD_MODELS": "svr, x", "PEGBOARD_HOLDOUT": "0.3"}
    made = load_experiment(file, {"seed": 9, "scorer": None, "models": ()}, {"path": "other.csv"}, environ)
    assert (made.folds, made.seed, made.models, made.holdout) == (4, 9, ("svr", "x"), 0.3)
    assert (made.scorer, dict(made.source_options)) == ("mae", {"path": "other.csv"})


def test_without_a_file_a_source_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = load_experiment(flags={"source": "house-prices"}, environ={})
    assert (made.name, made.folds, made.registry) == ("house-prices", 5, "registry")
    with pytest.raises(ConfigError, match=r"no source is named.*--source.*pegboard plugins list"):
        load_experiment(environ={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[experiment]\nscorrer = 'mae'", r"\[experiment\]: unknown setting 'scorrer'; did you mean 'scorer'\?"),
        ("[experiment]\nzzz = 1", r"unknown setting 'zzz'; known: name, source, models"),
        ("[experimnt]\n", r"unknown table \[experimnt\]; did you mean 'experiment'\?"),
        ("experiment = 1", r"experiment must be a table: write \[experiment\]"),
        ("[models]\nsvr = 3", r"\[models\] svr must be a table of parameters: write \[models.svr\]"),
        ("[experiment]\nfolds = '5'", "folds must be of type int, not '5'"),
        ("[experiment]\nfolds = true", "folds must be of type int, not True"),
        ("[experiment]\nfolds = 2.0", "folds must be of type int, not 2.0"),
        ("[experiment]\nmodels = 'svr'", "models must be a list of names, not 'svr'"),
        ("[experiment]\nsource = 'x'\nfolds = 1", "folds is 1: a comparison needs at least 2"),
        ("[experiment]\nsource = 'x'\nholdout = 0.9", "holdout is 0.9: it is a share of the rows, between 0 and 0.5"),
        ("[experiment]\nsource = 'x'\nholdout = nan", "holdout is nan"),
        ("[experiment]\nsource = 'x'\nseed = -1", "seed is -1: it is an integer between 0"),
        ("[experiment]\nsource = 'x'\nname = '../up'", "experiment name '../up' is not allowed"),
        ("[experiment", "is not valid TOML"),
    ],
)
def test_mistakes_are_named_with_the_remedy(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, text), environ={})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PEGBOARD_FOLDS": "five"}, "PEGBOARD_FOLDS must be of type int, not 'five'"),
        ({"PEGBOARD_SCORRER": "mae"}, "unknown variable PEGBOARD_SCORRER; did you mean PEGBOARD_SCORER?"),
    ],
)
def test_mistakes_in_the_environment_too(environ: Mapping[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, WHOLE), environ=environ)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    environ = {"PEGBOARD_LOAD_PLUGINS": "", "PEGBOARD_ACTOR": "me", "PEGBOARD_MODEL": "x", "PEGBOARD_URL_OF_MINE": "y"}
    assert load_experiment(write(tmp_path, WHOLE), environ=environ).name == "prices"


@pytest.mark.parametrize("path", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_experiment(tmp_path / path, environ={})


def test_the_registry_is_found_without_an_experiment(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    assert registry_location(file, {}) == "elsewhere"
    assert registry_location(file, {"PEGBOARD_REGISTRY": "here"}) == "here"


def test_an_experiment_is_plain_data_for_a_manifest(tmp_path: Path) -> None:
    import json

    plain: dict[str, Any] = load_experiment(write(tmp_path, WHOLE), environ={}).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["model_params"] == {"svr": {"C": 10}}
    assert "registry" not in plain


def test_another_source_is_another_experiment_in_the_same_registry(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    expected = Experiment(name="wine", source="wine", registry="elsewhere", folds=3)
    assert load_experiment(file, {"source": "wine", "folds": 3}, environ={}) == expected
    assert load_experiment(file, {"folds": 3}, environ={"PEGBOARD_SOURCE": "wine"}) == expected
    assert load_experiment(file, {"source": "house-prices"}, environ={}) == load_experiment(file, environ={})


def test_an_empty_variable_is_no_setting_and_an_empty_registry_no_place(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    assert load_experiment(file, environ={"PEGBOARD_REGISTRY": "", "PEGBOARD_FOLDS": ""}).registry == "elsewhere"
    with pytest.raises(ConfigError, match="registry is empty: name a directory"):
        load_experiment(write(tmp_path, "[experiment]\nsource = 'x'\nregistry = ''"), environ={})
