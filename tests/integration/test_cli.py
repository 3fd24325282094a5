"""The command line, from an empty folder to scored rows, as a user and as a machine reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Command = Callable[..., Any]
QUICK = ("--source", "house-prices", "--model", "linear-regression", "--folds", "2")
AMES = ("data", "fetch", "--source", "house-prices", "--out")


def test_training_shows_its_progress_and_the_leaderboard(training: tuple[Path, Any]) -> None:
    directory, done = training
    stages = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("✓")]
    assert stages == ["source", "validate", "split", "compare", "select", "evaluate", "publish"]
    assert "★   linear-regression" in done.stdout
    assert "dummy-regressor (baseline)" in done.stdout
    assert "published house-prices/1  sha256:" in done.stdout
    assert [path.name for path in directory.iterdir()] == ["registry"]


def test_the_same_run_twice_gives_the_same_scores_for_machines(pegboard: Command) -> None:
    one, two = (json.loads(pegboard("train", *QUICK, "--json").stdout) for _ in range(2))
    assert (one["version"], two["version"]) == ("house-prices/1", "house-prices/2")
    assert one["model"] == "linear-regression"
    assert one["validation"]["success"] is True
    scores = [{c["name"]: c["scores"] for c in run["leaderboard"]["candidates"]} for run in (one, two)]
    assert scores[0] == scores[1]
    assert {name: len(s) for name, s in scores[0].items()} == {"linear-regression": 2, "dummy-regressor": 2}
    assert one["holdout"] == two["holdout"]


def test_models_are_listed_shown_and_verified(trained: Command) -> None:
    (listed,) = json.loads(trained("models", "list", "--json").stdout)
    assert (listed["version"], listed["model"]) == ("house-prices/1", "linear-regression")
    shown = json.loads(trained("models", "show", "house-prices", "--json").stdout)
    assert shown["digest"] == listed["digest"]
    assert shown["manifest"]["signature"]["target"] == "SalePrice"
    assert "house-prices/1" in trained("models", "list").stdout
    assert listed["digest"] in trained("models", "show", "house-prices/1").stdout
    assert json.loads(trained("models", "verify", "--json").stdout) == [
        {"version": "house-prices/1", "ok": True, "problem": None}
    ]


def test_a_damaged_version_is_found(trained: Command, tmp_path: Path) -> None:
    (pipeline,) = tmp_path.glob("registry/bundles/house-prices/*/pipeline.joblib")
    pipeline.write_bytes(pipeline.read_bytes()[:-1])
    done = trained("models", "verify", status=1)
    assert "pipeline.joblib is not what the manifest says" in done.stdout
    assert "error: 1 of 1 versions cannot be trusted: house-prices/1" in done.stderr
    trained(*AMES, "houses.csv")
    done = trained("predict", "houses.csv", "prices.csv", "--model", "house-prices", status=1)
    assert "pipeline.joblib is not what the manifest says" in done.stderr
    assert not (tmp_path / "prices.csv").exists()


def test_a_bundle_trained_elsewhere_is_imported_once(trained: Command, tmp_path: Path) -> None:
    (bundle,) = tmp_path.glob("registry/bundles/house-prices/*")
    shutil.copytree(bundle, tmp_path / "elsewhere")
    for _ in range(2):
        done = trained("models", "import", "elsewhere", "--registry", "second", "--reason", "a test")
        assert done.stdout.startswith("house-prices/1  sha256:")
    assert len(json.loads(trained("models", "list", "--registry", "second", "--json").stdout)) == 1
    (tmp_path / "elsewhere" / "replay.json").write_text("{}")
    done = trained("models", "import", "elsewhere", "--registry", "third", status=1)
    assert "replay.json is not what the manifest says" in done.stderr
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_scored(suffix: str, trained: Command, tmp_path: Path) -> None:
    trained(*AMES, f"houses{suffix}")
    done = trained("predict", f"houses{suffix}", "prices.csv", "--model", "house-prices/1", "--json")
    assert json.loads(done.stdout)["rows"] == 2930
    prices = pd.read_csv(tmp_path / "prices.csv")
    assert list(prices.columns) == ["Id", "prediction"]
    assert prices["Id"].tolist() == list(range(1, 2931))
    assert prices["prediction"].between(-200_000, 800_000).all()


def test_broken_data_stops_training_with_a_readable_report(pegboard: Command, tmp_path: Path) -> None:
    pegboard(*AMES, "houses.csv")
    houses = pd.read_csv(tmp_path / "houses.csv")
    houses.loc[[3, 5], "OverallCond"] = [55, 99]
    houses.to_csv(tmp_path / "houses.csv", index=False)
    done = pegboard("train", *QUICK, "--set", "path=houses.csv", "--json", status=1)
    assert "breaks 1 critical expectation, so nothing was trained" in done.stderr
    assert "on 'OverallCond' (min_value=1, max_value=10): 2 rows, such as 55, 99 (row 3, 5)" in done.stderr
    assert json.loads(done.stdout)["validation"]["success"] is False
    assert [path.name for path in (tmp_path / "registry").iterdir() if path.name in ("bundles", "ledger")] == []
    validated = pegboard("data", "validate", "--source", "house-prices", "--set", "path=houses.csv", status=1)
    assert "OverallCond" in validated.stdout


def test_data_is_compared_with_a_published_version(trained: Command, tmp_path: Path) -> None:
    trained(*AMES, "houses.csv")
    houses = pd.read_csv(tmp_path / "houses.csv")
    houses.loc[0, "LotArea"] = 900_000
    houses.to_csv(tmp_path / "houses.csv", index=False)
    source = ("--source", "house-prices", "--set", "path=houses.csv")
    done = trained("data", "validate", *source, "--against", "house-prices/1")
    assert "such as 900000 (row 0) (expected by house-prices/1)" in done.stdout


def test_a_source_is_described(pegboard: Command) -> None:
    described = json.loads(pegboard("data", "describe", "--source", "house-prices", "--json").stdout)
    kinds = {f["name"]: f["kind"] for f in described["signature"]["features"]}
    assert (len(kinds), kinds["MSZoning"], kinds["TotalBsmtSF"]) == (11, "category", "number")
    assert "1300 to 215245" in pegboard("data", "describe", "--source", "house-prices").stdout


def test_what_hangs_on_the_board(pegboard: Command) -> None:
    listed = json.loads(pegboard("plugins", "list", "--json").stdout)
    assert {p["name"] for p in listed["plugins"]} >= {"built-in", "sklearn", "house-prices", "serve"}
    assert {"kind": "scorer", "name": "rmse"}.items() <= next(
        r for r in listed["registered"] if r["name"] == "rmse"
    ).items()
    assert "random-forest-classifier" in pegboard("plugins", "list").stdout
    none = json.loads(pegboard("plugins", "list", "--json", PEGBOARD_LOAD_PLUGINS="").stdout)
    assert [p["name"] for p in none["plugins"]] == ["built-in"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("trian",), 2, "no command 'trian'; did you mean 'train'?"),
        (("train",), 1, "no source is named"),
        (("train", "--source", "house-price"), 1, "no source named 'house-price'; did you mean 'house-prices'?"),
        (("train", *QUICK, "--scorer", "rsme"), 1, "no scorer named 'rsme'; did you mean 'rmse'?"),
        (("train", *QUICK, "--set", "pth=x"), 1, "source 'house-prices' has no option 'pth'; did you mean 'path'?"),
        (("train", *QUICK, "--set", "path"), 1, "--set 'path': write OPTION=VALUE"),
        (("train", *QUICK, "--config", "none.toml"), 1, "cannot read none.toml"),
        (("models", "show", "house-prices"), 1, "holds no model 'house-prices'; `pegboard train` publishes one"),
        (("models", "show", "../x"), 1, "'../x' is not a version: write name, name/7 or name@alias"),
        (("predict", "none.csv", "out.csv"), 2, "'none.csv' does not exist"),
    ],
)
def test_mistakes_end_with_the_next_step(
    arguments: tuple[str, ...], status: int, message: str, pegboard: Command, tmp_path: Path
) -> None:
    done = pegboard(*arguments, status=status)
    assert message in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_without_the_serving_distribution_serve_says_what_to_install(pegboard: Command) -> None:
    done = pegboard("serve", status=2, PEGBOARD_LOAD_PLUGINS="sklearn")
    assert "pip install pegboard-serve" in done.stderr


def test_a_broken_plugin_is_a_warning_and_nothing_more(pegboard: Command, tmp_path: Path) -> None:
    broken = tmp_path / "site" / "pegboard_broken-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: pegboard-broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[pegboard]\nbroken = module_that_is_not_there\n")
    done = pegboard("plugins", "list", PYTHONPATH=str(tmp_path / "site"))
    assert "warning: plugin broken (pegboard-broken 1.0): is not loaded: ModuleNotFoundError" in done.stderr
    assert "random-forest-regressor" in done.stdout


def test_names_in_brackets_are_shown_as_they_are(pegboard: Command, tmp_path: Path) -> None:
    folder = tmp_path / "x[a]" / "y[/b]"
    folder.mkdir(parents=True)
    pegboard(*AMES, str(folder / "h.csv"))
    done = pegboard("data", "fetch", "--source", "house-prices", "--set", f"path={folder / 'h.csv'}")
    assert str(folder / "h.csv") in done.stdout


def test_a_damaged_version_is_listed_as_such_beside_the_others(trained: Command, tmp_path: Path) -> None:
    (manifest,) = tmp_path.glob("registry/bundles/house-prices/*/manifest.json")
    manifest.unlink()
    assert "damaged" in trained("models", "list").stdout
    assert json.loads(trained("models", "list", "--json").stdout)[0]["damaged"] is True


def test_the_input_is_never_replaced_by_its_predictions(trained: Command, tmp_path: Path) -> None:
    trained(*AMES, "houses.csv")
    before = (tmp_path / "houses.csv").read_bytes()
    done = trained("predict", "houses.csv", "./houses.csv", "--model", "house-prices", status=1)
    assert "is the input itself: name another file for the predictions" in done.stderr
    assert (tmp_path / "houses.csv").read_bytes() == before
