"""What must hold of a preprocessor: what it makes is something that models can be fitted on."""

from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from pegboard import unpickling
from pegboard.frames import conform
from pegboard.learning import learn_signature
from pegboard.signature import Signature
from pegboard.specs import SourceSpec, Wants
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.properties import holds
from pegboard.testing.strategies import tables
from pegboard.testing.tables import TARGET, shown, with_nulls

#: What models may want of it.
WANTS = (Wants(), Wants(scaling=True), Wants(dense=False), Wants(native=True))
EACH = ("transforms",)


def _table() -> tuple[Signature, pd.DataFrame]:
    frame = with_nulls("regression")
    source = SourceSpec(name="conformance", task="regression", target=TARGET, load=lambda: frame)
    signature = learn_signature(frame, source)
    return signature, conform(frame, signature)


def _fitted(subject: Subject, wants: Wants) -> tuple[Any, Signature, pd.DataFrame]:
    signature, features = _table()
    with attempting(f"fit_transform ({wants})", lambda: shown(features)):
        made = subject.spec.make(signature, wants)
        made.fit_transform(features)
    return made, signature, features


def _rows(made: Any, features: pd.DataFrame, wants: Wants) -> Any:
    """Return what it makes of a table; refuse what no model could take."""
    with attempting(f"transform ({wants})", lambda: shown(features)):
        given = made.transform(features)
    if given.ndim != 2 or given.shape[0] != len(features):
        raise Failed(f"{wants}: {len(features)} rows became the shape {given.shape}", shown(features))
    values = given.toarray() if hasattr(given, "toarray") else given
    if not wants.native and not np.isfinite(np.asarray(values, dtype=np.float64)).all():
        raise Failed(f"{wants}: what it makes is not finite", shown(features))
    return values


@check("preprocessor", "transforms", "it makes a row of finite numbers of each row, nulls or not")
def transforms(subject: Subject) -> None:
    """Whatever a model wants of it; a model that wants its columns as they are may get nulls."""
    for wants in WANTS:
        made, signature, features = _fitted(subject, wants)
        _rows(made, features, wants)
        _on_drawn(made, signature, wants)


def _on_drawn(made: Any, signature: Signature, wants: Wants) -> None:
    def body(frame: pd.DataFrame) -> None:
        _rows(made, conform(frame, signature), wants)

    holds(body, tables(signature, min_rows=2), examples=10)


@check("preprocessor", "one-row", "it transforms a single row", EACH)
def one_row(subject: Subject) -> None:
    """That is what a server asks."""
    for wants in WANTS:
        made, _, features = _fitted(subject, wants)
        _rows(made, features.head(1), wants)


@check("preprocessor", "unknown-categories", "it transforms categories that it has not been fitted on", EACH)
def unknown_categories(subject: Subject) -> None:
    """In every column of categories."""
    for wants in WANTS:
        made, _, features = _fitted(subject, wants)
        _rows(made, features.assign(zone=pd.Series(["unknown category"] * len(features), dtype=object)), wants)


@check("preprocessor", "clone", "scikit-learn can clone it, and the clone makes the same", EACH)
def clones(subject: Subject) -> None:
    """Tools of scikit-learn do."""
    made, _, features = _fitted(subject, Wants())
    with attempting("clone"):
        copy = clone(made)
        copy.fit(features)
    _same(copy, made, features, "a clone")


@check("preprocessor", "pickles", "it can be pickled, may be read back, and then makes the same", EACH)
def pickles(subject: Subject) -> None:
    """What may be read back is decided by :mod:`pegboard.unpickling`."""
    made, _, features = _fitted(subject, Wants())
    buffer = io.BytesIO()
    with attempting("pickling"):
        joblib.dump(made, buffer)
    with attempting("reading the pickle back"):
        read = unpickling.load(buffer.getvalue(), "the pickle")
    _same(read, made, features, "read back it")


def _same(copy: Any, made: Any, features: pd.DataFrame, who: str) -> None:
    ours, theirs = (np.asarray(_rows(each, features, Wants()), dtype=np.float64) for each in (copy, made))
    if not np.array_equal(ours, theirs):
        raise Failed(f"{who} makes something else", shown(features))
