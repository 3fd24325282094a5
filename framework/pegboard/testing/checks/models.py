"""What must hold of a model's factory and of fitting it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd

from pegboard.testing.fresh import listing
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.tables import SEED, apart, contender_for, fitted, plain, shown, specimen


@check("model", "factory-is-cheap", "make() does nothing but make: it fits nothing, reads nothing, starts nothing")
def factory_is_cheap(subject: Subject) -> None:
    """What it does is watched, in a fresh process; the first call may import its library."""
    found = listing(subject)["made"].get(subject.spec.name, {"error": "the fresh process does not list it"})
    if "error" in found:
        raise Failed(f"make() raised {found['error']}")
    if found["seen"]:
        raise Failed(f"make() does work: {'; '.join(found['seen'][:5])}")
    if found["fitted"]:
        raise Failed(f"make() returns what is fitted already: it has {', '.join(found['fitted'])}")


@check("model", "deterministic", "the same seed gives the same model", ("learns",))
def deterministic(subject: Subject) -> None:
    """Whatever has happened to the generators that everybody shares."""
    frame = plain(subject.spec.task)
    first = specimen(subject).answers(frame)
    state, theirs = random.getstate(), np.random.get_state()
    try:
        random.seed(1)
        np.random.seed(1)
        second = fitted(subject, frame).answers(frame)
    finally:
        random.setstate(state)
        np.random.set_state(theirs)
    if problem := apart(second, first):
        remedy = "give make a random_state that reaches the estimator"
        raise Failed(f"fitted twice with the seed {SEED}, it answers differently ({remedy}): {problem}", shown(frame))


@check("model", "leaves-input-alone", "neither fitting nor predicting changes the table or the target", ("learns",))
def leaves_input_alone(subject: Subject) -> None:
    """The estimator is given copies that nobody else has."""
    contender, table = contender_for(subject, plain(subject.spec.task))
    pipeline = contender.build()
    target = table.target.copy()
    given = pipeline[:-1].fit_transform(table.features, target)
    kept, estimator = given.copy(), pipeline[-1]
    with attempting("fit"):
        estimator.fit(given, target)
    _refuse_changes("fit", given, kept)
    _refuse_changes("fit", target, table.target, "the target")
    with attempting("predict"):
        for method in ("predict", "predict_proba"):
            if hasattr(estimator, method):
                getattr(estimator, method)(given)
    _refuse_changes("predict", given, kept)


def _refuse_changes(by: str, now: Any, before: Any, what: str = "the features") -> None:
    if (where := _changed(now, before)) is not None:
        raise Failed(f"{by} changes {what} that it is given: work on a copy", where)


def _changed(now: Any, before: Any) -> str | None:
    """Return the first rows that differ as a table, ``None`` if none does."""
    after, frame = (pd.DataFrame(each.toarray() if hasattr(each, "toarray") else each) for each in (now, before))
    if after.shape != frame.shape or list(after.columns) != list(frame.columns):
        return f"columns {list(frame.columns)} became {list(after.columns)}"
    same = (after.eq(frame) | (after.isna() & frame.isna())).to_numpy()
    rows, columns = np.nonzero(~same)
    names = list(frame.columns)
    lines = [
        f"row {row}, column {names[column]}: {frame.iat[row, column]!r} became {after.iat[row, column]!r}"
        for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[:3]
    ]
    return "\n".join(lines) or None
