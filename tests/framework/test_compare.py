"""Every candidate meets the same folds; one that fails is shown as failed and sinks nobody."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor

from pegboard import ModelSpec, PreprocessorSpec, ScorerSpec, SplitterSpec
from pegboard.catalog import Catalog
from pegboard.errors import PluginError, TrainingError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.learning import learn_signature
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.select import select
from pegboard.training.split import split
from pegboard.training.values import Split, Table


class Recording(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the mean and remembers what it was fitted on."""

    seen: list[tuple[int, ...]] = []  # noqa: RUF012 - shared by all clones on purpose

    def fit(self, X: Any, y: Any) -> Recording:
        self.mean_ = float(np.mean(y))
        Recording.seen.append(tuple(np.asarray(y).astype(int)))
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean_)


@pytest.fixture
def table(frame_source: Callable[..., Any]) -> Table:
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) % 17})
    return Table.of(frame, learn_signature(frame, frame_source(frame, "y")))


@pytest.fixture
def parts(table: Table, catalog: Catalog) -> Split:
    return split(table, catalog.get(SplitterSpec, "k-fold"), folds=4, holdout=0.2, seed=1)


@pytest.fixture
def contend(table: Table, catalog: Catalog) -> Callable[..., Contender]:
    def make(name: str, factory: Callable[..., Any], **more: Any) -> Contender:
        model = ModelSpec(name=name, task="regression", make=factory, **more)
        return Contender(model, catalog.get(PreprocessorSpec, "tabular"), table.signature, 0)

    return make


@pytest.fixture
def rmse(catalog: Catalog) -> ScorerSpec:
    return catalog.get(ScorerSpec, "rmse")


def failing(stage: str, error: BaseException) -> Callable[[], Any]:
    def fail(*_: Any) -> Any:
        raise error

    return lambda: type("Failing", (DummyRegressor,), {stage: fail})()


def test_all_candidates_are_fitted_on_the_same_rows(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec
) -> None:
    Recording.seen.clear()
    board = compare(table, parts.folds, [contend("a", Recording), contend("b", Recording)], rmse, workers=2)
    wanted = sorted(tuple(table.target[fit].astype(int)) for fit, _ in parts.folds)
    assert sorted(Recording.seen) == sorted([*wanted, *wanted])
    assert board["a"].scores == board["b"].scores
    assert len(board["a"].scores) == 4


def test_folds_cover_the_training_part_once_and_never_the_hold_out(table: Table, parts: Split) -> None:
    scored = np.concatenate([score for _, score in parts.folds])
    assert sorted(scored) == sorted(parts.train)
    assert sorted([*parts.train, *parts.holdout]) == list(range(len(table)))
    for fit, score in parts.folds:
        assert set(fit).isdisjoint(score)
        assert set(fit).isdisjoint(parts.holdout)


@pytest.mark.parametrize("stage", ["fit", "predict"])
@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3), MemoryError("no room")])
def test_a_failing_candidate_is_shown_as_failed_and_sinks_nobody(
    stage: str,
    error: BaseException,
    table: Table,
    parts: Split,
    contend: Callable[..., Contender],
    rmse: ScorerSpec,
) -> None:
    told: list[Candidate] = []
    contenders = [contend("bad", failing(stage, error)), contend("good", DummyRegressor)]
    board = compare(table, parts.folds, contenders, rmse, workers=2, on_candidate=told.append)
    assert [c.name for c in board.candidates] == ["good", "bad"]
    assert board["bad"].error is not None
    assert f"{type(error).__name__}: {error}" in board["bad"].error
    assert board["bad"].scores == ()
    assert len(board["good"].scores) == 4
    assert sorted(c.name for c in told) == ["bad", "good"]


def test_a_factory_that_makes_no_estimator_fails_as_a_candidate(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec
) -> None:
    board = compare(table, parts.folds, [contend("odd", lambda: 3), contend("good", DummyRegressor)], rmse)
    assert "model 'odd' makes a int, not a scikit-learn estimator" in str(board["odd"].error)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_finite_number_is_a_failure(
    value: float, table: Table, parts: Split, contend: Callable[..., Contender]
) -> None:
    scorer = ScorerSpec(name="odd", tasks=("regression",), make=lambda: lambda *_: value)
    with pytest.raises(
        TrainingError, match=rf"no candidate finished:\n  a: fold \d: TrainingError: the score is {value}"
    ):
        compare(table, parts.folds, [contend("a", DummyRegressor)], scorer)


def test_an_error_is_shown_positive_and_a_score_as_it_is(
    table: Table, parts: Split, contend: Callable[..., Contender], catalog: Catalog
) -> None:
    contenders = [
        contend("low", lambda: DummyRegressor(strategy="constant", constant=-50.0)),
        contend("mean", DummyRegressor),
    ]
    for name in ("rmse", "mae", "r2"):
        board = compare(table, parts.folds, contenders, catalog.get(ScorerSpec, name))
        assert [c.name for c in board.candidates] == ["mean", "low"]
        assert (board["low"].mean > 0) == (name != "r2")


def test_warnings_belong_to_the_candidate_that_gave_them(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec
) -> None:
    class Warns(DummyRegressor):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            warnings.warn("did not converge", UserWarning, stacklevel=2)
            time.sleep(0.01)
            return super().fit(X, y)

    before = list(warnings.filters)
    board = compare(table, parts.folds, [contend("warns", Warns), contend("calm", DummyRegressor)], rmse, workers=4)
    assert board["warns"].warnings == ("UserWarning: did not converge",)
    assert board["calm"].warnings == ()
    assert warnings.filters == before


def test_folds_run_at_the_same_time_and_blas_keeps_to_one_thread(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec
) -> None:
    from threadpoolctl import threadpool_info

    barrier, blas = threading.Barrier(2, timeout=30), set()

    class Meets(DummyRegressor):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            barrier.wait()
            blas.update(pool["num_threads"] for pool in threadpool_info())
            return super().fit(X, y)

    board = compare(table, parts.folds, [contend("a", Meets)], rmse, workers=2)
    assert board["a"].error is None
    assert blas == {1}


def test_the_longest_known_candidate_goes_first(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    now = [0.0]  # a clock of the test's own: a fit that the machine holds up must not count as a long one
    monkeypatch.setattr("pegboard.training.fitting.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def timed(name: str, seconds: float) -> Callable[[], Any]:
        class Timed(DummyRegressor):  # type: ignore[misc]
            def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
                order.append(name)
                now[0] += seconds
                return super().fit(X, y)

        return Timed

    compare(
        table,
        parts.folds,
        [contend("short", timed("short", 0.0)), contend("long", timed("long", 0.05))],
        rmse,
        workers=1,
    )
    assert order == ["short", *["long"] * 4, *["short"] * 3]


def test_progress_counts_every_fold(
    table: Table, parts: Split, contend: Callable[..., Contender], rmse: ScorerSpec
) -> None:
    seen: list[tuple[str, int, int]] = []
    contenders = [contend("a", DummyRegressor), contend("b", failing("fit", ValueError("x")))]
    compare(table, parts.folds, contenders, rmse, on_fold=lambda *args: seen.append(args))
    assert [(done, total) for _, done, total in seen] == [(i, 8) for i in range(1, 9)]


def candidate(name: str, *scores: float, **more: Any) -> Candidate:
    return Candidate(name, scores, **more)


def test_the_paired_difference_is_over_folds() -> None:
    board = Leaderboard.of("rmse", False, [candidate("b", 11.0, 13.0), candidate("a", 10.0, 10.0)])
    assert board.behind(board["b"]) == (2.0, 1.0)
    assert Leaderboard.from_dict(board.to_dict()) == board


def test_only_a_baseline_that_is_beaten_on_the_mean_counts_as_beaten() -> None:
    board = Leaderboard.of("rmse", False, [candidate("m", 3.0, 3.0), candidate("d", 3.0, 3.0, baseline=True)])
    assert not board.beats_baseline(board["m"])
    assert board.beats_baseline(candidate("n", 2.0, 2.0))


CRITERIA = [
    # scores of a, b, c; their complexity; criterion; champion; the winner
    ((1, 1), (2, 2), (3, 3), (9, 5, 1), "best-mean", None, "a"),
    ((1, 1), (1, 1), (3, 3), (9, 5, 1), "best-mean", None, "a"),
    ((1, 1), (1, 1), (3, 3), (9, 5, 1), "best-mean", "b", "b"),
    ((1, 1), (2, 2), (3, 3), (9, 5, 1), "best-mean", "b", "a"),
    ((0, 4), (2, 3), (9, 9), (9, 5, 1), "one-standard-error", None, "b"),
    ((0, 4), (2, 3), (3, 3), (9, 5, 5), "one-standard-error", None, "b"),
    ((0, 4), (2, 3), (3, 3), (9, 5, 5), "one-standard-error", "c", "c"),
    ((1, 1), (2, 3), (9, 9), (9, 5, 1), "one-standard-error", None, "a"),
]


@pytest.mark.parametrize(("a", "b", "c", "complexity", "criterion", "champion", "winner"), CRITERIA)
def test_the_criterion_chooses_and_the_champion_stays_on_a_tie(
    a: Any, b: Any, c: Any, complexity: Any, criterion: str, champion: str | None, winner: str, catalog: Catalog
) -> None:
    from pegboard import CriterionSpec

    rows = [candidate(n, *s, complexity=x) for n, s, x in zip("abc", (a, b, c), complexity, strict=True)]
    rows.append(candidate("dummy", 0.0, 0.0, baseline=True))
    board = Leaderboard.of("rmse", False, rows)
    assert select(board, catalog.get(CriterionSpec, criterion), champion).name == winner


def test_a_criterion_may_choose_only_from_the_board() -> None:
    from pegboard import CriterionSpec

    board = Leaderboard.of("rmse", False, [candidate("a", 1.0)])
    for chosen in (["zzz"], []):
        with pytest.raises(PluginError, match="criterion 'odd' chose"):
            select(board, CriterionSpec(name="odd", choose=lambda _, chosen=chosen: chosen))  # type: ignore[misc]


def test_a_baseline_never_wins(catalog: Catalog) -> None:
    from pegboard import CriterionSpec

    board = Leaderboard.of("rmse", False, [candidate("d", 1.0, baseline=True), Candidate("m", error="fold 1: boom")])
    with pytest.raises(TrainingError, match=r"nothing but baselines finished.*\n  m: fold 1: boom"):
        select(board, catalog.get(CriterionSpec, "best-mean"))
