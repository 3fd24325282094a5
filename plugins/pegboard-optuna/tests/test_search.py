"""A search starts with what there is, spends its budget exactly, gives up what is hopeless, and repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from pegboard.tuning import Search, StopSearch, Trial, TrialFailed, Tuned

Make = Callable[..., Search]
Tune = Callable[[Search], Tuned]


def test_the_first_trial_is_the_model_as_it_is(search: Make, tune: Tune) -> None:
    made = search(1)
    (trial,) = tune(made).trials
    assert trial == Trial(0, {"depth": 20, "kind": "a"}, tuple(231.7 + 1000 * fold for fold in range(5)))


def test_a_model_without_defaults_in_the_space_starts_as_it_is_too(search: Make, tune: Tune) -> None:
    found = tune(search(2, defaults={}, score=lambda params, _: float(len(params))))
    assert [trial.params == {} for trial in found.trials] == [True, False]
    assert found.params == {}


@pytest.mark.parametrize("trials", [1, 2, 11])
def test_the_budget_is_spent_exactly_whatever_becomes_of_the_trials(trials: int, search: Make, tune: Tune) -> None:
    def score(params: Mapping[str, Any], fold: int) -> float:
        if params["depth"] % 3 == 0:
            raise TrialFailed("fold 1: thrice")
        return float(params["depth"] + fold)

    told: list[Trial] = []
    found = tune(search(trials, score=score, on_trial=told.append))
    assert [trial.number for trial in found.trials] == list(range(trials))
    assert tuple(told) == found.trials


def test_the_best_trial_is_found_and_is_better_than_the_first(search: Make, tune: Tune) -> None:
    found = tune(search(40))
    best = min((t for t in found.trials if t.finished), key=lambda t: fmean(t.scores))
    assert found.params == best.params
    assert abs(found.params["depth"] - 5) <= 1


def test_where_more_is_better_the_most_is_best(search: Make, tune: Tune) -> None:
    found = tune(search(25, greater_is_better=True, score=lambda params, _: float(params["depth"] == 20)))
    assert found.params == {"depth": 20, "kind": "a"}
    lower = tune(search(25, identity="f" * 64, score=lambda params, _: float(params["depth"] == 20)))
    assert lower.params["depth"] != 20


def test_the_same_seed_tries_the_same_and_another_seed_something_else(search: Make, tune: Tune, tmp_path: Path) -> None:
    first, again, other = (
        tune(search(15, directory=tmp_path / place, seed=seed)) for place, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first.trials == again.trials
    assert [t.params for t in first.trials[1:]] != [t.params for t in other.trials[1:]]


def test_what_is_hopeless_is_given_up_after_two_folds_and_not_before_five_have_finished(
    search: Make, tune: Tune
) -> None:
    found = tune(search(30))
    pruned = [trial for trial in found.trials if trial.pruned]
    assert pruned
    assert all(2 <= len(trial.scores) < 5 for trial in pruned)
    assert not any(trial.pruned for trial in found.trials[:5])


def test_a_trial_that_began_on_the_easy_fold_is_given_up_all_the_same(search: Make, tune: Tune) -> None:
    """Optuna's own median pruner takes the best step so far, which here is the first fold, always."""

    def score(params: Mapping[str, Any], fold: int) -> float:
        return 1000.0 * fold + (params["depth"] > 10) * 5 * fold  # on the first fold nobody is worse than others

    found = tune(search(30, score=score))
    deep = [trial for trial in found.trials[10:] if trial.params["depth"] > 10]
    assert deep
    assert all(trial.pruned for trial in deep)


def test_what_fails_is_a_trial_with_its_error_and_never_the_best(search: Make, tune: Tune) -> None:
    def score(params: Mapping[str, Any], fold: int) -> float:
        if params["depth"] < 15 and fold == 1:
            raise TrialFailed("fold 2: ValueError: too shallow")
        return float(params["depth"])

    found = tune(search(15, score=score))
    failed = [trial for trial in found.trials if trial.error]
    assert {(t.error, len(t.scores), t.finished) for t in failed} == {("fold 2: ValueError: too shallow", 1, False)}
    assert found.params["depth"] >= 15


def test_where_all_fails_nothing_is_found(search: Make, tune: Tune) -> None:
    def score(*_: Any) -> float:
        raise TrialFailed("fold 1: no")

    found = tune(search(4, score=score))
    assert (found.params, [t.error for t in found.trials]) == ({}, ["fold 1: no"] * 4)


def test_without_a_number_of_trials_the_search_goes_on_until_it_is_stopped(search: Make, tune: Tune) -> None:
    made = search(None)
    left = iter(range(7 * 5 + 2))  # in the midst of the eighth trial, if none were pruned

    def evaluate(params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
        def counted(fold: int, score: float) -> bool:
            if next(left, None) is None:
                raise StopSearch
            after_fold(fold, score)
            return True

        return made.evaluate(params, counted)

    found = tune(replace(made, evaluate=evaluate))
    assert [trial.number for trial in found.trials] == list(range(7))
    assert all(len(trial.scores) == 5 for trial in found.trials)


def test_what_is_found_is_what_json_holds(search: Make, tune: Tune) -> None:
    for trial in tune(search(12)).trials:
        assert Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) == trial
        assert {name: type(value) for name, value in trial.params.items() if name != "kind"}.items() <= {
            "rate": float,
            "depth": int,
        }.items()
