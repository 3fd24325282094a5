"""What must hold of a scorer, asked about an estimator whose answers are made up."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from pegboard.specs import Task
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.properties import holds
from pegboard.testing.tables import shown

ROWS = 60
CLASSES = np.array(["high", "low", "mid"], dtype=object)
EACH = ("finite-scores",)
DIRECTED = ("finite-scores", "direction")
#: Errors as :func:`answered` takes them, small ones and large ones.
SIZES: Mapping[Task, Sequence[float]] = {
    "regression": (0.0, 0.01, -0.01, 0.1, -0.1, 1.0, -1.0, 9.0, -9.0),
    "classification": (0.0, 0.1, 0.25, 0.4, 0.75, 0.9),
}

Numbers = npt.NDArray[np.float64]


class MadeUpRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that answers what the table's column ``answer`` says."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: pd.DataFrame, y: object = None) -> MadeUpRegressor:  # noqa: ARG002, N803 - scikit-learn's names
        """Do nothing: there is nothing to learn."""
        return self

    def predict(self, X: pd.DataFrame) -> Numbers:  # noqa: N803
        """Return the column."""
        return X["answer"].to_numpy()


class MadeUpClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose probabilities are the table's columns, one for each class."""

    classes_ = CLASSES

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: pd.DataFrame, y: object = None) -> MadeUpClassifier:  # noqa: ARG002, N803 - scikit-learn's names
        """Do nothing: there is nothing to learn."""
        return self

    def predict_proba(self, X: pd.DataFrame) -> Numbers:  # noqa: N803
        """Return the columns."""
        return X[list(CLASSES)].to_numpy()

    def predict(self, X: pd.DataFrame) -> npt.NDArray[Any]:  # noqa: N803
        """Return the most probable class of each row."""
        labels: npt.NDArray[Any] = CLASSES[self.predict_proba(X).argmax(axis=1)]
        return labels


@dataclass(frozen=True)
class Answered:
    """A task's rows: what is true, and what an estimator says of it."""

    task: Task
    truth: npt.NDArray[Any]
    said: pd.DataFrame

    def rows(self, positions: npt.NDArray[np.intp]) -> Answered:
        """Return some of the rows, in that order."""
        return replace(self, truth=self.truth[positions], said=self.said.iloc[positions].reset_index(drop=True))

    def shown(self) -> str:
        """Return the rows as text."""
        return shown(self.said.round(6).assign(truth=self.truth))


def answered(task: Task, error: Numbers) -> Answered:
    """Return rows of which an estimator is wrong by so much: in the target's unit, or as a share of probability."""
    rng, rows = np.random.default_rng(0), len(error)
    if task == "regression":
        truth = rng.uniform(10, 100, rows)
        return Answered(task, truth, pd.DataFrame({"answer": truth + error}))
    right = np.arange(rows) % len(CLASSES)
    probabilities = np.zeros((rows, len(CLASSES)))
    share = np.abs(error)
    probabilities[np.arange(rows), right] = 1 - share
    probabilities[np.arange(rows), (right + 1) % len(CLASSES)] = share
    return Answered(task, CLASSES[right], pd.DataFrame(probabilities, columns=list(CLASSES)))


def score(subject: Subject, of: Answered, **more: Any) -> float:
    """Return the raw score, greater meaning better."""
    estimator = MadeUpRegressor() if of.task == "regression" else MadeUpClassifier()
    with attempting("scoring", of.shown):
        measure = subject.kit.keep(("scorer", subject.spec.name), subject.spec.make)
        return float(measure(estimator, of.said, of.truth, **more))


def good_and_bad(task: Task) -> tuple[Answered, Answered]:
    """Return answers with small errors, and with large ones."""
    rng = np.random.default_rng(1)
    if task == "regression":
        good = answered(task, rng.normal(0, 0.5, ROWS))
        return good, replace(good, said=pd.DataFrame({"answer": rng.permutation(good.truth)}))
    return answered(task, rng.uniform(0.02, 0.2, ROWS)), answered(task, rng.uniform(0.8, 0.98, ROWS))


def errors(task: Task, rows: int) -> st.SearchStrategy[Numbers]:
    """Return a strategy for the errors of an estimator that is wrong about some rows."""
    sizes = st.sampled_from(SIZES[task])
    alike = sizes.map(lambda size: np.full(rows, size))
    return st.one_of(alike, st.lists(sizes, min_size=rows, max_size=rows).map(np.array))


@check("scorer", "finite-scores", "a score is a finite number")
def finite_scores(subject: Subject) -> None:
    """Of good predictions and of bad ones."""
    for task in subject.spec.tasks:
        for of in good_and_bad(task):
            value = score(subject, of)
            if not np.isfinite(value):
                raise Failed(f"the score ({task}) is {value}", of.shown())


@check("scorer", "direction", "better predictions score greater, and greater_is_better agrees", EACH)
def direction(subject: Subject) -> None:
    """In scikit-learn's sense: an error is negated, and the flag says that it was."""
    for task in subject.spec.tasks:
        good, bad = (score(subject, of) for of in good_and_bad(task))
        if not good > bad:
            raise Failed(f"good predictions ({task}) score {good:.6g}, bad ones {bad:.6g}: negate what make() returns")
        _refuse_flag(subject, task, bad)


def _refuse_flag(subject: Subject, task: Task, bad: float) -> None:
    perfect = score(subject, answered(task, np.zeros(ROWS)))
    if not subject.spec.greater_is_better and perfect > 0:
        raise Failed(f"greater_is_better=False says that scores are negated errors, and a perfect one is {perfect:.6g}")
    if subject.spec.greater_is_better and -1e-9 < perfect <= 0 and bad < 0:
        told = f"{perfect:.6g} is perfect, {bad:.6g} bad"
        raise Failed(f"scores are negated errors ({told}): write greater_is_better=False")


@check("scorer", "perfect-is-best", "no predictions score greater than perfect ones", DIRECTED)
def perfect_is_best(subject: Subject) -> None:
    """Whatever is drawn."""

    def body(task: Task, error: Numbers) -> None:
        of = answered(task, error)
        value, perfect = score(subject, of), score(subject, answered(task, np.zeros(len(error))))
        if value > perfect + 1e-9 * max(1.0, abs(perfect)):
            raise Failed(f"these predictions score {value:.6g}, perfect ones {perfect:.6g}", of.shown())

    _each(subject, lambda task: holds(lambda error: body(task, error), errors(task, 9), examples=40))


@check("scorer", "row-order", "the order of the rows does not matter", EACH)
def row_order(subject: Subject) -> None:
    """Rows and truth are permuted together."""

    def body(task: Task, error: Numbers, order: list[int]) -> None:
        of = answered(task, error)
        _same(score(subject, of.rows(np.array(order))), score(subject, of), f"with the rows in the order {order}", of)

    orders = st.permutations(range(9))
    _each(subject, lambda task: holds(lambda error, order: body(task, error, order), errors(task, 9), orders))


@check("scorer", "sample-weights", "weights of one change nothing, and whole weights are repetitions", EACH)
def sample_weights(subject: Subject) -> str | None:
    """If it takes ``sample_weight``."""
    if not _takes_weights(subject):
        return "it takes no sample_weight"

    def body(task: Task, error: Numbers, weights: list[int]) -> None:
        of, given = answered(task, error), np.array(weights, dtype=np.float64)
        ones = score(subject, of, sample_weight=np.ones(len(error)))
        _same(ones, score(subject, of), "with a weight of 1 for each row", of)
        repeated = score(subject, of.rows(np.repeat(np.arange(len(error)), weights)))
        _same(score(subject, of, sample_weight=given), repeated, f"with the weights {weights} (not repeated)", of)

    several = st.lists(st.integers(1, 3), min_size=9, max_size=9)
    _each(subject, lambda task: holds(lambda error, weights: body(task, error, weights), errors(task, 9), several))
    return None


def _takes_weights(subject: Subject) -> bool:
    scorer = subject.spec.make()
    if "sample_weight" not in inspect.signature(scorer).parameters:
        return False
    if inspect.isroutine(scorer):
        return True
    good, _ = good_and_bad(subject.spec.tasks[0])
    try:  # scikit-learn's scorers all have the argument, and not all of their measures do
        score(subject, good, sample_weight=np.ones(ROWS))
    except Failed:
        return False
    return True


def _same(found: float, expected: float, how: str, of: Answered) -> None:
    if not np.isclose(found, expected, rtol=1e-9, atol=1e-9):
        raise Failed(f"{how} the score is {found:.9g}, not {expected:.9g}", of.shown())


def _each(subject: Subject, holds_for: Callable[[Task], None]) -> None:
    for task in subject.spec.tasks:
        holds_for(task)
