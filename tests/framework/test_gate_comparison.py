"""The challenger against the champion and the baselines: both fitted again, on rows that neither has seen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from pegboard import ModelSpec, SourceSpec, hookimpl
from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.environments import Environment, Gate
from pegboard.fingerprint import row_shares
from pegboard.gate.rule import Finding, GateReport, Promotion
from pegboard.gate.run import run_gate
from pegboard.manager import Plugin, load_plugins
from pegboard.registry import Registry, Version
from pegboard.training import pipeline

ROWS = 400


def curve(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table that no straight line fits, with noise of its own."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-3, 3, rows), rng.uniform(-3, 3, rows)
    y = 50 + 5 * x**2 + 10 * z + rng.normal(0, 2, rows)
    return pd.DataFrame({"id": np.arange(rows) + 1000 * seed, "x": x, "z": z, "y": y})


def labels(rows: int = ROWS) -> pd.DataFrame:
    table = curve(rows)
    return table.assign(kind=np.where(table.y > 65, "high", "low")).drop(columns="y")


class Bench:
    """A registry, a board whose source delivers :attr:`table`, and versions trained on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.registry, self.table = root, Registry(root), curve()
        self.loads = self.fits = 0
        self.versions: tuple[Version, ...] = ()
        self.catalog = self.board(ModelSpec(name="squares", task="regression", make=self.squares))

    def board(self, *models: ModelSpec) -> Catalog:
        sources = [
            SourceSpec(name="curve", task="regression", target="y", load=self.load, keys=("id",)),
            SourceSpec(name="labels", task="classification", target="kind", load=labels, keys=("id",)),
        ]
        self.manager = load_plugins()
        hooks = {"register_sources": lambda: sources, "register_models": lambda: models}
        module = SimpleNamespace(**{name: hookimpl(specname=name)(hook) for name, hook in hooks.items()})
        self.manager.add(module, Plugin("bench", "bench", "1"))
        return Catalog(self.manager)

    def squares(self) -> Any:
        self.fits += 1
        return make_pipeline(PolynomialFeatures(2), LinearRegression())

    def load(self) -> pd.DataFrame:
        self.loads += 1
        return self.table

    def train(self, model: str, name: str = "curve", **settings: Any) -> Version:
        settings = {"source": "curve", "folds": 2, **settings}
        experiment = Experiment(name=name, models=(model,), registry=str(self.root), isolation="thread", **settings)
        return pipeline.run(experiment, self.manager, self.catalog).version

    def ask(
        self, version: Version, champion: Version | None, data: Path | None = None, board: Any = None, **gate: Any
    ) -> GateReport:
        limits = Gate(**{"rules": ("champion", "baseline"), "resamples": 100, **gate})
        environment = Environment(name="staging", registry=str(self.root), alias="staging", gate=limits)
        promotion = Promotion(
            registry=self.registry, version=version, bundle=self.registry.open(version), champion=champion,
            environment=environment, catalog=board or self.catalog, data=data,
        )  # fmt: skip
        return run_gate(promotion)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("bench") / "registry")
    bench.versions = bench.train("linear-regression"), bench.train("squares")
    return bench


@pytest.fixture
def bench(trained: Bench) -> Bench:
    trained.table, trained.loads, trained.fits = curve(), 0, 0
    return trained


def of(report: GateReport, rule: str = "champion") -> Finding:
    return next(finding for finding in report.findings if finding.rule == rule)


def shares(table: pd.DataFrame) -> Any:
    return row_shares([table["id"].to_numpy()], len(table))


@pytest.mark.parametrize("require", ["better", "not-worse"])
def test_a_better_recipe_passes_and_both_scores_are_those_of_rows_held_out(bench: Bench, require: str) -> None:
    line, squares = bench.versions
    found = of(bench.ask(squares, line, require=require))
    held = shares(bench.table) < 0.2
    fit, score = bench.table[~held], bench.table[held]
    expected = LinearRegression().fit(fit[["x", "z"]], fit["y"]).predict(score[["x", "z"]])
    figures = found.figures
    assert found.passed
    assert figures["other_score"] == pytest.approx(root_mean_squared_error(score["y"], expected), rel=1e-9)
    assert 1.5 < figures["challenger"] < 2.5, "the noise alone"
    assert (figures["rows"], figures["train_rows"]) == (held.sum(), (~held).sum())
    assert 0 < figures["low"] < figures["better_by"] < figures["high"]


def test_a_worse_recipe_is_refused_and_told_by_how_much(bench: Bench) -> None:
    line, squares = bench.versions
    found = of(bench.ask(line, squares))
    figures = found.figures
    assert not found.passed
    assert f"of {squares} on {figures['rows']} rows held out: {-figures['better_by']:.4f} worse (95 %: " in found.found
    assert found.limit == f"at most {0.02 * figures['other_score']:.4f} worse (2 %) at 95 %"


def test_nothing_apart_is_not_worse_and_not_better(bench: Bench) -> None:
    _, squares = bench.versions
    almost = bench.train("squares", seed=1)
    assert of(bench.ask(almost, squares, margin=0.0)).figures["better_by"] == 0.0, "another seed that changes nothing"
    assert [of(bench.ask(almost, squares, margin=0.0, require=r)).passed for r in ("not-worse", "better")] == [
        True,
        False,
    ]


def test_not_worse_asks_the_bad_end_of_the_interval_and_not_the_difference(bench: Bench) -> None:
    one, other = (bench.train("random-forest-regressor", seed=seed) for seed in (0, 1))
    figures = of(bench.ask(one, other)).figures
    assert figures["low"] < figures["better_by"] < figures["high"]
    margin = -figures["low"] / figures["other_score"]
    passed = [of(bench.ask(one, other, margin=margin * part)).passed for part in (0.999, 1.001)]
    assert passed == [False, True]


def test_the_same_recipe_passes_and_nothing_is_loaded(bench: Bench) -> None:
    _, squares = bench.versions
    again = bench.train("squares")
    bench.loads = 0
    found = of(bench.ask(again, squares, rules=("champion",), require="better"))
    assert (found.passed, found.found) == (True, f"the same recipe as {squares}: 0 apart")
    assert bench.loads == 0


def test_the_champion_itself_and_the_first_version_have_nobody_to_beat(bench: Bench) -> None:
    _, squares = bench.versions
    assert of(bench.ask(squares, squares)).found == f"{squares} is the champion itself"
    assert of(bench.ask(squares, None)).found == "there is no champion yet"


def test_of_two_holdouts_rows_of_either_are_not_fitted_on_and_rows_of_both_are_compared_on(bench: Bench) -> None:
    _, squares = bench.versions
    wide = bench.train("linear-regression", holdout=0.5)
    figures = of(bench.ask(squares, wide)).figures
    assert figures["rows"] == (shares(bench.table) < 0.2).sum()
    assert figures["train_rows"] == (shares(bench.table) >= 0.5).sum()


def test_the_table_is_todays_and_is_loaded_once_and_the_challenger_fitted_once(bench: Bench) -> None:
    line, squares = bench.versions
    bench.table = pd.concat([curve(), curve(200, seed=1)], ignore_index=True)
    report = bench.ask(squares, line)
    held = shares(bench.table) < 0.2
    assert report.passed
    assert of(report).figures["rows"] == of(report, "baseline").figures["rows"] == held.sum()
    assert of(report).figures["train_rows"] == (~held).sum()
    assert (bench.loads, bench.fits) == (1, 1)


def test_a_champion_whose_column_is_gone_is_named_and_the_baseline_is_beaten_all_the_same(bench: Bench) -> None:
    line, _ = bench.versions
    bench.table = curve().drop(columns="z")
    narrow = bench.train("squares")
    report = bench.ask(narrow, line)
    assert of(report).found == f"{line} needs the column 'z', which source 'curve' does not deliver any more"
    assert [finding.passed for finding in report.findings] == [False, True]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        ([], "no model named 'squares'"),
        ([ModelSpec(name="squares", task="regression", make=lambda degree: degree)], "model 'squares' failed: TypeErr"),
        ([ModelSpec(name="squares", task="regression", make=lambda: 1 / 0)], "model 'squares' failed: ZeroDiv"),
    ],
    ids=["gone", "other", "failing"],
)
def test_a_champion_whose_model_is_another_or_none_today_costs_its_rule_alone(
    bench: Bench, models: list[ModelSpec], found: str
) -> None:
    line, squares = bench.versions
    report = bench.ask(line, squares, board=bench.board(*models))
    assert of(report).found.startswith(found)
    assert [finding.passed for finding in report.findings] == [False, True]


def test_a_champion_of_another_target_cannot_be_compared_with(bench: Bench) -> None:
    _, squares = bench.versions
    other = bench.train("logistic-regression", name="labels", source="labels")
    found = of(bench.ask(squares, other))
    assert not found.passed
    assert found.found.startswith(f"{other} is a classification of 'kind', and {squares} a regression of 'y'")


def test_too_few_rows_are_counted_and_newer_ones_asked_for(bench: Bench) -> None:
    line, squares = bench.versions
    held = (shares(bench.table) < 0.2).sum()
    report = bench.ask(squares, line, min_rows=int(held) + 1)
    text = f"{held} rows held out are too few to tell: give newer labelled rows with --data"
    assert [(f.passed, f.found) for f in report.findings] == [(False, text)] * 2
    assert of(report).limit == f"at least {held + 1} rows that neither has seen"
    assert bench.ask(squares, line, min_rows=int(held)).passed


def test_a_recipe_that_says_no_more_than_the_mean_does_not_beat_the_baseline(bench: Bench) -> None:
    bench.table = curve().assign(y=np.random.default_rng(5).normal(100, 10, ROWS))
    noise = bench.train("linear-regression")
    found = of(bench.ask(noise, None), "baseline")
    assert (found.passed, found.limit, found.figures["other"]) == (False, "better at 95 %", "dummy-regressor")
    assert found.figures["low"] < 0 < found.figures["high"]


@pytest.mark.parametrize("scorer", ["", "roc-auc", "neg_log_loss"])
def test_classes_are_compared_by_the_scorer_of_the_challenger(bench: Bench, scorer: str) -> None:
    settings = {"name": "labels", "source": "labels", "scorer": scorer}
    champion = bench.train("logistic-regression", **settings)
    challenger = bench.train("random-forest-classifier", **settings)
    report = bench.ask(challenger, champion, require="better", rules=("champion",))
    assert report.passed, report
    assert of(report).figures["scorer"] == (scorer.replace("_", "-") or "log-loss")


def written(tmp_path: Path, table: pd.DataFrame, name: str = "newer.csv") -> Path:
    path = tmp_path / name
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["newer.csv", "newer.parquet"])
def test_newer_rows_are_compared_on_and_those_of_them_in_the_source_are_not_fitted_on(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    line, squares = bench.versions
    newer = pd.concat([curve(90, seed=2), bench.table[:10]])
    report = bench.ask(squares, line, written(tmp_path, newer, name))
    figures = of(report).figures
    assert report.passed
    assert (figures["rows"], figures["train_rows"]) == (100, ROWS - 10)
    assert f"on 100 rows of {name}: " in of(report).found


def test_rows_without_their_keys_are_known_by_their_features(bench: Bench, tmp_path: Path) -> None:
    line, squares = bench.versions
    newer = bench.table[:60].drop(columns="id")
    figures = of(bench.ask(squares, line, written(tmp_path, newer))).figures
    assert (figures["rows"], figures["train_rows"]) == (60, ROWS - 60)
    nothing_left = of(bench.ask(squares, line, written(tmp_path, bench.table)))
    assert "all 400 rows of source 'curve' are in" in nothing_left.found


def test_rows_that_lack_the_target_or_do_not_fit_are_named_by_row_and_field(bench: Bench, tmp_path: Path) -> None:
    line, squares = bench.versions
    newer = curve(50, seed=3).astype({"x": object})
    newer.loc[7, "y"], newer.loc[9, "x"] = np.nan, "wide"
    path = written(tmp_path, newer)
    report = bench.ask(squares, line, path, rules=("validation", "champion", "baseline"))
    for finding in report.findings:
        assert (finding.passed, str(path) in finding.found) == (False, True)
        assert "row 7, y: the target must be a finite number" in finding.found
        assert "row 9, x: 'wide' is not a finite number" in finding.found


def test_labels_in_a_file_are_read_as_the_classes_are(bench: Bench, tmp_path: Path) -> None:
    champion = bench.train("logistic-regression", name="labels", source="labels")
    newer = labels(60).assign(id=np.arange(60) + 5000)
    assert bench.ask(champion, None, written(tmp_path, newer), rules=("validation", "baseline")).passed
    newer.loc[3, "kind"] = "middling"
    report = bench.ask(champion, None, written(tmp_path, newer), rules=("validation",))
    assert "row 3, kind: the target must be one of the classes, not 'middling'" in report.findings[0].found


def test_a_very_long_holdout_is_drawn_from(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    line, squares = bench.versions
    monkeypatch.setattr("pegboard.gate.data.MOST_ROWS", 40)
    found, again = (of(bench.ask(squares, line)) for _ in range(2))
    held = (shares(bench.table) < 0.2).sum()
    assert found.figures["rows"] == 40
    assert f"on 40 rows held out, drawn from {held}" in found.found
    assert found == again
