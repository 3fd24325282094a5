"""Tuning: on the same folds, within the budget, fair to all, and the same whatever runs beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from pegboard import Choice, Float, Integer, ModelSpec, PreprocessorSpec, ScorerSpec, SplitterSpec, TunerSpec
from pegboard.catalog import Catalog
from pegboard.errors import PluginError
from pegboard.learning import learn_signature
from pegboard.training.candidate import Contender
from pegboard.training.split import split
from pegboard.training.tune import tune
from pegboard.training.turns import Turns
from pegboard.training.values import Split, Table
from pegboard.tuning import Budget, Search, StopSearch, Trial, Tuned, Tuning
from pegboard_optuna.plugin import register_tuners

OPTUNA = register_tuners()[0]
COSTS = {"slow": 7.0, "quick": 1.0, "quicker": 0.25}


class Off(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the mean and something more, which costs; remembers what it was fitted on, and takes time on a clock."""

    seen: set[float] = set()  # noqa: RUF012 - shared by all clones on purpose
    now = 0.0

    def __init__(self, off: float = 3.0, kind: str = "a", cost: float = 0.0) -> None:
        self.off, self.kind, self.cost = off, kind, cost

    def fit(self, X: Any, y: Any) -> Off:
        if self.kind == "broken":
            raise ValueError("it cannot be fitted")
        Off.seen |= set(map(float, np.asarray(X)[:, 0]))
        Off.now += self.cost
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean_ + self.off)


def off(off: float = 3.0, kind: str = "a") -> Any:
    return Off(off, kind)


@pytest.fixture
def table(frame_source: Callable[..., Any]) -> Table:
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) % 17})
    return Table.of(frame, learn_signature(frame, frame_source(frame, "y")))


@pytest.fixture
def parts(table: Table, catalog: Catalog) -> Split:
    return split(table, catalog.get(SplitterSpec, "k-fold"), folds=3, holdout=0.2, seed=1)


@pytest.fixture
def contend(table: Table, catalog: Catalog) -> Callable[..., Contender]:
    def make(name: str = "off", factory: Callable[..., Any] = off, params: Any = None, **more: Any) -> Contender:
        space = {"off": Float(-5.0, 5.0), "kind": Choice("a", "b")}
        model = ModelSpec(**{"name": name, "task": "regression", "make": factory, "space": space, **more})
        return Contender(model, catalog.get(PreprocessorSpec, "tabular"), table.signature, 0, params or {})

    return make


@pytest.fixture
def search(table: Table, parts: Split, catalog: Catalog, tmp_path: Path) -> Callable[..., tuple[Tuning, ...]]:
    """Tune contenders on the table's folds."""

    def run(*contenders: Contender, budget: str = "8", tuner: TunerSpec = OPTUNA, **more: Any) -> tuple[Tuning, ...]:
        told = {"table": table, "folds": parts.folds, "scorer": catalog.get(ScorerSpec, "rmse"), "directory": tmp_path}
        return tune(contenders=contenders, tuner=tuner, budget=Budget.parse(budget), **{**told, **more})

    return run


def test_the_same_is_tried_whatever_the_number_of_workers(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender], tmp_path: Path
) -> None:
    contenders = [contend(name) for name in ("one", "two", "three")]
    alone, beside = (search(*contenders, budget="6", workers=n, directory=tmp_path / str(n)) for n in (1, 4))
    assert alone == beside
    assert [tuning.model for tuning in alone] == ["one", "two", "three"]
    assert all(len(tuning.trials) == 6 for tuning in alone)


def test_tuning_is_never_worse_than_the_model_as_it_is_and_the_rows_held_out_are_not_seen(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender], parts: Split
) -> None:
    Off.seen.clear()
    (tuning,) = search(contend(), budget="20")
    assert tuning.trials[0].params == {"off": 3.0, "kind": "a"}
    assert tuning.before is not None
    assert tuning.after is not None
    assert tuning.after < tuning.before
    assert abs(tuning.params["off"]) < 1
    assert tuning.progress[0] == (0, tuning.before)
    assert tuning.progress[-1][1] == tuning.after
    assert Off.seen == set(map(float, parts.train))  # x is the row's number


def test_what_the_configuration_sets_stays_as_it_is_and_is_not_searched(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    (tuning,) = search(contend(params={"kind": "b"}))
    assert {frozenset(trial.params) for trial in tuning.trials} == {frozenset({"off"})}
    assert (tuning.fixed, set(tuning.space)) == ({"kind": "b"}, {"off"})
    assert contend(params={"kind": "b"}).after(tuning).params == {"kind": "b", **tuning.params}


def test_baselines_and_models_without_a_space_are_not_tuned(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    others = contend("none", space={}), contend("base", baseline=True), contend("set", params={"off": 1.0, "kind": "a"})
    assert [tuning.model for tuning in search(contend(), *others, budget="1")] == ["off"]


def test_a_model_of_which_no_trial_finishes_competes_as_it_is_and_says_so(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    broken = contend(params={"kind": "broken"})
    (tuning,) = search(broken, budget="3")
    assert (tuning.failed, tuning.finished, tuning.before, tuning.after) == (3, False, None, None)
    left = broken.after(tuning)
    assert (left.params, left.tuned) == ({"kind": "broken"}, False)
    assert left.warnings == (
        "not tuned: no trial has finished (all 3 trials failed, the last in fold 1: ValueError: it cannot be fitted), "
        "so it competes as it is",
    )


def test_a_model_that_fails_for_some_parameters_is_tuned_on_the_others(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    space = {"off": Float(-5.0, 5.0), "kind": Choice("a", "broken")}
    (tuning,) = search(contend(space=space), budget="16")
    assert 0 < tuning.failed < 16
    assert tuning.params["kind"] == "a"
    assert {t.error for t in tuning.trials if t.error} == {"fold 1: ValueError: it cannot be fitted"}


def test_a_budget_of_time_is_for_all_models_together_and_a_fit_that_has_begun_is_finished(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    Off.now = 0.0
    contenders = [contend(name, _costing(cost), space={"off": Float(-5.0, 5.0)}) for name, cost in COSTS.items()]
    tunings = search(*contenders, budget="40s", workers=1, clock=lambda: Off.now)
    assert 40 <= Off.now < 40 + max(COSTS.values())
    assert [tuning.model for tuning in tunings] == list(COSTS)
    trials = [trial for tuning in tunings for trial in tuning.trials]
    assert {(len(trial.scores) == 3) is not trial.pruned for trial in trials} == {True}  # what time cut off is none


def test_without_time_for_a_single_trial_a_model_competes_as_it_is(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    Off.now = 0.0
    contender = contend(factory=_costing(1.5), space={"off": Float(-5.0, 5.0)})
    (tuning,) = search(contender, budget="2s", workers=1, clock=lambda: Off.now)
    assert (Off.now, tuning.trials) == (3.0, ())
    assert contender.after(tuning).warnings == (
        "not tuned: no trial has finished (time was up), so it competes as it is",
    )


def test_the_next_turn_is_that_of_the_model_that_has_used_the_least_time() -> None:
    now, order = [0.0], list[str]()
    turns = Turns(["most", "least", "some", "nobody"], 1, lambda: now[0])
    for name, seconds in (("most", 30), ("least", 10), ("some", 20)):
        with turns.turn(name):
            now[0] += seconds

    def take(name: str) -> None:
        with turns.turn(name):
            order.append(name)

    with ThreadPoolExecutor(3) as pool:
        with turns.turn("nobody"):
            taken = [pool.submit(take, name) for name in ("most", "some", "least")]
            while len(turns._waiting) < 3:
                threading.Event().wait(0.001)
        for future in taken:
            future.result()
    assert order == ["least", "some", "most"]


def _costing(cost: float) -> Callable[..., Any]:
    def make(off: float = 3.0) -> Any:
        return Off(off, cost=cost)

    return make


def test_ctrl_c_ends_all_searches_and_what_they_have_tried_is_kept(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    contenders = contend("one"), contend("two")
    told: list[tuple[str, Trial]] = []

    def interrupt(model: str, trial: Trial) -> None:
        told.append((model, trial))
        if len(told) >= 5 and len({model for model, _ in told}) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(*contenders, budget="1h", on_trial=interrupt)
    resumed = search(*contenders, budget="1")
    assert all(trial in tuning.trials for model, trial in told for tuning in resumed if tuning.model == model)
    assert all(tuning.resumed == len(tuning.trials) for tuning in resumed)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "gave NoneType, not Tuned"),
        (Tuned({"off": 9.0}, ()), "found off = 9.0, which is not in the model's space"),
        (Tuned({"depth": 1}, ()), "found depth = 1, which is not in the model's space"),
        (ZeroDivisionError("in its own code"), "failed: ZeroDivisionError: in its own code"),
    ],
)
def test_a_tuner_that_errs_is_named_and_ends_the_others(
    found: Any, reason: str, search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    stopped: list[str] = []

    def searching(given: Search) -> Any:
        if given.model == "bad":
            if isinstance(found, Exception):
                raise found
            return found
        try:
            while True:
                given.evaluate({}, lambda *_: True)
        except StopSearch:
            stopped.append(given.model)
        return Tuned({}, ())

    with pytest.raises(PluginError, match=f"tuner 'mine', asked to tune model 'bad', {reason}"):
        search(contend("good"), contend("bad"), tuner=TunerSpec(name="mine", tune=searching))
    assert stopped == ["good"]


def test_only_searches_of_the_same_thing_have_the_same_identity(
    search: Callable[..., tuple[Tuning, ...]],
    contend: Callable[..., Contender],
    parts: Split,
    table: Table,
    catalog: Catalog,
) -> None:
    def identities(*contenders: Contender, **more: Any) -> list[str]:
        seen: list[str] = []

        def note(given: Search) -> Tuned:
            seen.append(given.identity)
            return Tuned({}, ())

        search(*contenders, tuner=TunerSpec(name="noting", tune=note), workers=1, **more)
        return seen

    base = contend()
    others = [
        contend("other"),
        contend(space={"off": Float(-5.0, 6.0), "kind": Choice("a", "b")}),
        contend(space={"off": Float(-5.0, 5.0)}),
        contend(space={"off": Integer(-5, 5), "kind": Choice("a", "b")}),
        contend(params={"kind": "b"}),
        replace(base, seed=1),
        replace(base, preprocessor=replace(base.preprocessor, name="other")),
    ]
    found = [identities(base)[0], *(identities(other)[0] for other in others)]
    found += identities(base, folds=parts.folds[:2]) + identities(base, folds=parts.folds[::-1])
    found += identities(base, scorer=catalog.get(ScorerSpec, "mae"))
    found += identities(base, table=replace(table, target=table.target + 1))
    found += identities(base, origins={"off": "off (pegboard-off 1.0)"}) + identities(base, origins={"rmse": "x 2"})
    assert len(set(found)) == len(found)
    assert identities(base, budget="9m") == found[:1]


def test_what_is_recorded_is_read_again(
    search: Callable[..., tuple[Tuning, ...]], contend: Callable[..., Contender]
) -> None:
    (tuning,) = search(contend(), budget="12")
    told: Mapping[str, Any] = tuning.to_dict()
    assert Tuning.from_dict(told) == tuning
    assert (told["before"], told["after"], told["pruned"]) == (tuning.before, tuning.after, tuning.pruned)
