"""What must hold of a tuner, on a small space with a known best point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pegboard.space import Choice, Float, Integer, Range
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.tuning import Budget, Search, Trial, Tuned

SPACE: Mapping[str, Range] = {"depth": Integer(1, 8), "rate": Float(0.01, 1.0, log=True), "kind": Choice("a", "b")}
DEFAULTS = {"depth": 3, "rate": 0.1, "kind": "a"}
TRIALS = 8
FOLDS = 2
EACH = ("searches",)


def _loss(params: Mapping[str, Any], fold: int) -> float:
    return float((params["depth"] - 5) ** 2 + abs(params["rate"] - 0.3) + (params["kind"] == "b") + 0.01 * fold)


def _evaluate(params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
    scores: list[float] = []
    for fold in range(FOLDS):
        scores.append(_loss(params, fold))
        if not after_fold(fold, scores[-1]):
            break
    return tuple(scores)


def _search(subject: Subject) -> tuple[Tuned, list[Trial]]:
    told: list[Trial] = []
    search = Search(
        model="conformance",
        space=SPACE,
        defaults=DEFAULTS,
        greater_is_better=False,
        folds=FOLDS,
        seed=0,
        budget=Budget(trials=TRIALS),
        identity="conformance",
        directory=subject.kit.directory(),
        evaluate=_evaluate,
        on_trial=told.append,
    )
    with attempting("tune"):
        return subject.spec.tune(search), told


def _tuned(subject: Subject) -> tuple[Tuned, list[Trial]]:
    return subject.kit.keep(("tuned", subject.spec.name), lambda: _search(subject))


@check("tuner", "searches", "it searches a small space and returns what it found")
def searches(subject: Subject) -> None:
    """With the best of its trials."""
    tuned, told = _tuned(subject)
    if not isinstance(tuned, Tuned):
        raise Failed(f"tune returned a {type(tuned).__name__}, not pegboard.tuning.Tuned")
    whole = [trial for trial in tuned.trials if len(trial.scores) == FOLDS and not trial.pruned]
    if not whole:
        raise Failed("no trial was finished")
    best = min(whole, key=lambda trial: sum(trial.scores))
    if dict(tuned.params) != dict(best.params):
        raise Failed(f"it returned {dict(tuned.params)}, and its best trial was {dict(best.params)}")
    if {trial.number for trial in told} != {trial.number for trial in tuned.trials}:
        raise Failed(f"on_trial was told of {len(told)} trials, and {len(tuned.trials)} came back")


@check("tuner", "stays-in-the-space", "every trial lies in the space", EACH)
def stays_in_the_space(subject: Subject) -> None:
    """Values of the right type, within the bounds."""
    tuned, _ = _tuned(subject)
    for trial in tuned.trials:
        if set(trial.params) != set(SPACE) or not all(_lies(trial.params[name], SPACE[name]) for name in SPACE):
            raise Failed(f"trial {trial.number} lies outside: {dict(trial.params)}")


def _lies(value: Any, values: Range) -> bool:
    if isinstance(values, Choice):
        return value in values.values
    kind = int if isinstance(values, Integer) else float
    return isinstance(values, Integer | Float) and isinstance(value, kind) and values.low <= value <= values.high


@check("tuner", "keeps-its-budget", "it tries no more than its budget allows", EACH)
def keeps_its_budget(subject: Subject) -> None:
    """A number of trials."""
    tuned, _ = _tuned(subject)
    if len(tuned.trials) > TRIALS:
        raise Failed(f"it has {TRIALS} trials to spend, and spent {len(tuned.trials)}")


@check("tuner", "repeats", "the same seed gives the same trials", EACH)
def repeats(subject: Subject) -> None:
    """In another directory, so that nothing is resumed."""
    first, second = ([dict(t.params) for t in found.trials] for found, _ in (_tuned(subject), _search(subject)))
    if first != second:
        differing = next(n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
        raise Failed(f"with the same seed, trial {differing} tries {second[differing]}, not {first[differing]}")
