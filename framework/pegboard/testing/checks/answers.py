"""What must hold of a fitted model's answers, whatever rows it is asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.properties import holds
from pegboard.testing.strategies import frames, signatures, tables
from pegboard.testing.tables import (
    TARGET,
    Numbers,
    Specimen,
    apart,
    fitted,
    plain,
    shown,
    specimen,
    with_constants,
    with_nulls,
)

UNKNOWN = "unknown category"
#: How much worse (of R squared, of the share of right labels) a model may get when the columns change places.
ORDER_TOLERANCE = 0.2
EACH = ("learns",)


@check("model", "learns", "it is fitted on a plain table and answers its rows")
def learns(subject: Subject) -> None:
    """The first thing: everything else needs it."""
    made = specimen(subject)
    frame = made.table.frame
    answers = asked(made, frame)
    if len(answers) != len(frame):
        raise Failed(f"{len(answers)} answers to {len(frame)} rows")


def asked(made: Specimen, frame: pd.DataFrame) -> Numbers:
    """Return the answers for a table; what the model raises is a failure with the table as its example."""
    with attempting("predict", lambda: shown(frame)):
        return made.answers(frame)


@check("model", "finite-predictions", "its predictions are finite numbers", EACH)
def finite_predictions(subject: Subject) -> None:
    """Also for rows somewhat beyond what training has seen."""
    made = specimen(subject)

    def body(frame: pd.DataFrame) -> None:
        answers = asked(made, frame)
        if not np.isfinite(answers).all():
            raise Failed(f"the prediction is {answers[~np.isfinite(answers)][0]}", shown(frame))

    holds(body, tables(made.signature, min_rows=2))


@check("model", "probabilities", "its probabilities are in [0, 1] and sum to 1", EACH)
def probabilities(subject: Subject) -> str | None:
    """Of a classifier."""
    made = specimen(subject)
    if not hasattr(made.pipeline, "predict_proba"):
        return "it gives no probabilities"

    def body(frame: pd.DataFrame) -> None:
        given = asked(made, frame)
        if not ((given >= 0) & (given <= 1) | np.isnan(given)).all():
            raise Failed(f"the probabilities are {given.tolist()}", shown(frame))
        sums = given.sum(axis=1)
        if not (np.isclose(sums, 1, rtol=0, atol=1e-6) | np.isnan(sums)).all():
            raise Failed(f"the probabilities sum to {sums.tolist()}", shown(frame))

    holds(body, tables(made.signature, min_rows=2))
    return None


@check("model", "classes-in-order", "its classes_ are the table's, sorted", EACH)
def classes_in_order(subject: Subject) -> None:
    """Probabilities are read by position."""
    made = specimen(subject)
    given = getattr(made.pipeline, "classes_", None)
    if made.signature.classes and (given is None or list(given) != list(made.signature.classes)):
        theirs = None if given is None else list(given)
        raise Failed(f"classes_ is {theirs}, and sorted they are {list(made.signature.classes)}")


@check("model", "one-row", "it answers a single row", EACH)
def one_row(subject: Subject) -> None:
    """That is what a server asks."""
    made = specimen(subject)

    def body(frame: pd.DataFrame) -> None:
        if len(answers := asked(made, frame)) != 1:
            raise Failed(f"{len(answers)} answers to one row", shown(frame))

    holds(body, tables(made.signature, max_rows=1), examples=8)


@check("model", "batch", "a row has the same answer alone, in parts of a table, and in the whole", EACH)
def batch(subject: Subject) -> None:
    """What a model does not answer at all is not looked at here."""
    made = specimen(subject)

    def body(frame: pd.DataFrame, cut: int) -> None:
        whole = asked(made, frame)
        for part in (slice(cut, None), slice(0, 1)):
            if len(rows := frame.iloc[part]) and (problem := _differs(made, rows, whole[part])):
                raise Failed(f"{len(rows)} of {len(frame)} rows: {problem}", shown(frame))

    holds(body, tables(made.signature, min_rows=4, max_rows=6), st.integers(1, 2))


def _differs(made: Specimen, rows: pd.DataFrame, expected: Numbers) -> str | None:
    try:
        return apart(made.answers(rows), expected)
    except Exception:  # `one-row` says so, if it is one
        return None


@check("model", "row-order", "rows in another order have the same answers", EACH)
def row_order(subject: Subject) -> None:
    """Nothing is carried from one row to the next."""
    made = specimen(subject)

    def body(frame: pd.DataFrame) -> None:
        if problem := apart(asked(made, frame[::-1])[::-1], asked(made, frame)):
            raise Failed(f"with the rows reversed, {problem}", shown(frame))

    holds(body, tables(made.signature, min_rows=2))


@check("model", "column-order", "columns in another order make no other model", EACH)
def column_order(subject: Subject) -> None:
    """Asked with another order it answers the same; fitted with another order it is about as good."""
    made, frame = specimen(subject), plain(subject.spec.task)
    if problem := apart(asked(made, frame[frame.columns[::-1]]), asked(made, frame)):
        raise Failed(f"asked with the columns reversed, {problem}", shown(frame))
    for columns in (frame.columns[::-1], [*frame.columns[1:], frame.columns[0]]):
        other = fitted(subject, frame[columns])
        before, after = quality(made, frame), quality(other, frame)
        if after < before - ORDER_TOLERANCE:
            measure = "R squared" if subject.spec.task == "regression" else "share of right labels"
            order = ", ".join(f.name for f in other.signature.features)
            raise Failed(f"fitted with the columns {order}: {measure} {after:.2f}, and {before:.2f} before")


def quality(made: Specimen, frame: pd.DataFrame) -> float:
    """Return R squared, or the share of right labels, on the table."""
    answers, truth = asked(made, frame), made.table.target
    if made.signature.task == "regression":
        return 1 - float(np.sum((answers - truth) ** 2) / np.sum((truth - truth.mean()) ** 2))
    labels = answers.argmax(axis=1) if answers.ndim == 2 else answers.astype(int)
    return float(np.mean(np.array(made.signature.classes, dtype=object)[labels] == truth))


@check("model", "unknown-categories", "it answers rows with categories that training has not seen", EACH)
def unknown_categories(subject: Subject) -> None:
    """In every column of categories."""
    made = specimen(subject)

    def body(frame: pd.DataFrame) -> None:
        asked(made, frame.assign(zone=UNKNOWN))

    holds(body, tables(made.signature, min_rows=2), examples=5)


@check("model", "nulls", "it learns from nulls, and answers rows with nulls in any feature", EACH)
def nulls(subject: Subject) -> None:
    """Nulls in every kind of column."""
    made = fitted(subject, with_nulls(subject.spec.task))
    holds(lambda frame: _answered(made, frame), tables(made.signature, min_rows=2, beyond=0.0))


@check("model", "constant-columns", "it learns from columns with one value, and with none", EACH)
def constant_columns(subject: Subject) -> None:
    """They say nothing, and do no harm."""
    made = fitted(subject, with_constants(subject.spec.task))
    _answered(made, made.table.frame)


def _answered(made: Specimen, frame: pd.DataFrame) -> None:
    answers = asked(made, frame)
    if not np.isfinite(answers).all():
        raise Failed(f"the prediction is {answers[~np.isfinite(answers)][0]}", shown(frame))


NARROWER = (*EACH, "finite-predictions", "nulls", "constant-columns", "unknown-categories")


@check("model", "any-table", "it learns from any small table, whatever its columns", NARROWER)
def any_table(subject: Subject) -> None:
    """Signatures are drawn, and tables that fit them."""
    drawn = signatures(max_features=3, task=subject.spec.task).flatmap(
        lambda signature: st.tuples(st.just(signature.target), frames(signature, max_rows=24, largest=1e6))
    )

    def body(pair: tuple[str, pd.DataFrame]) -> None:
        target, frame = pair
        _answered(fitted(subject, frame.rename(columns={target: TARGET})), frame)

    holds(body, drawn, examples=6)
