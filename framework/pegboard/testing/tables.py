"""The tables that models are checked on: small, the same each time, and of every kind of column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from pegboard.errors import PluginError
from pegboard.frames import Column, as_frame, conform_columns
from pegboard.learning import learn_signature
from pegboard.predictor import Predictor
from pegboard.signature import Signature
from pegboard.specs import ModelSpec, PreprocessorSpec, SourceSpec, Task
from pegboard.testing.kit import Subject, attempting
from pegboard.training.candidate import Contender
from pegboard.training.values import Table

ROWS = 80
SEED = 0
TARGET = "target"
#: At most so many rows and columns of an example are shown.
MOST_ROWS = 6

Numbers = npt.NDArray[np.float64]


def plain(task: Task) -> pd.DataFrame:
    """Return a table without nulls, in which the target follows from the features, with a little noise."""
    rng = np.random.default_rng(SEED)
    frame = pd.DataFrame(
        {
            "area": rng.uniform(20, 200, ROWS).round(1),
            "rooms": rng.integers(1, 9, ROWS),
            "garden": rng.random(ROWS) < 0.5,
            "zone": np.array(["north", "south", "west"], dtype=object)[rng.integers(0, 3, ROWS)],
        }
    )
    worth = 10 * frame["area"] + 50 * frame["rooms"] + 200 * frame["garden"] + 400 * (frame["zone"] == "south")
    return _with_target(frame, worth + rng.normal(0, 20, ROWS), task)


def with_nulls(task: Task) -> pd.DataFrame:
    """Return the plain table with nulls in every feature, in the dtypes that sources then deliver."""
    frame, rng = plain(task), np.random.default_rng(SEED + 1)
    holes = {name: frame[name].astype(object).where(rng.random(ROWS) > 0.2, None) for name in frame.columns[:-1]}
    return frame.assign(**holes).astype({"area": "float64", "rooms": "float64"})


def with_constants(task: Task) -> pd.DataFrame:
    """Return the plain table with columns that say nothing: one value, one category, no value at all."""
    return plain(task).assign(one=1.5, yes=True, same="same", empty=pd.Series([None] * ROWS, dtype=object))


def _with_target(frame: pd.DataFrame, worth: pd.Series[float], task: Task) -> pd.DataFrame:
    if task == "regression":
        return frame.assign(**{TARGET: worth})
    levels = pd.cut(worth, [-np.inf, *worth.quantile([1 / 3, 2 / 3]), np.inf], labels=["low", "mid", "high"])
    return frame.assign(**{TARGET: levels.astype(object)})


@dataclass(frozen=True)
class Specimen:
    """A model's pipeline, fitted on a table."""

    contender: Contender
    table: Table
    pipeline: Pipeline

    @property
    def signature(self) -> Signature:
        """The table's columns."""
        return self.table.signature

    @property
    def predictor(self) -> Predictor:
        """The pipeline behind its signature."""
        return Predictor(self.pipeline, self.signature)

    def answers(self, frame: pd.DataFrame) -> Numbers:
        """Return what the pipeline says, finite or not: (rows,) values, or (rows, classes) probabilities.

        A classifier without probabilities answers with its labels' positions among the classes.
        """
        return answers_of(self.pipeline, self.signature, conform_columns(frame, self.signature))


def answers_of(pipeline: Any, signature: Signature, columns: Sequence[Column]) -> Numbers:
    """Return a fitted pipeline's answers to canonical columns; see :meth:`Specimen.answers`."""
    if signature.classes and not hasattr(pipeline, "predict_proba"):
        labels = pipeline.predict(as_frame(columns, signature)).tolist()
        return np.array([signature.classes.index(label) for label in labels], dtype=np.float64)
    return Predictor(pipeline, signature).ask(columns)


def fitted(subject: Subject, frame: pd.DataFrame, params: Mapping[str, Any] | None = None) -> Specimen:
    """Fit the subject's model on a table, with the default preprocessing."""
    contender, table = contender_for(subject, frame, params)
    with attempting("fit", lambda: shown(frame)):
        return Specimen(contender, table, contender.build().fit(table.features, table.target))


def contender_for(
    subject: Subject, frame: pd.DataFrame, params: Mapping[str, Any] | None = None
) -> tuple[Contender, Table]:
    """Return the subject's model as a contender on a table, and the table."""
    model = subject.spec
    signature = learn_signature(frame, source_of(frame, model))
    preprocessor = subject.kit.catalog.get(PreprocessorSpec, "tabular")
    return Contender(model, preprocessor, signature, SEED, params or {}), Table.of(frame, signature)


def specimen(subject: Subject) -> Specimen:
    """Return the subject's model fitted on the plain table, once."""
    return subject.kit.keep(("specimen", subject.spec.name), lambda: fitted(subject, plain(subject.spec.task)))


def source_of(frame: pd.DataFrame, model: ModelSpec) -> SourceSpec:
    """Return a source of a table whose target is its column :data:`TARGET`."""
    if TARGET not in frame:
        raise PluginError(f"the table has no column {TARGET!r}")
    return SourceSpec(name="conformance", task=model.task, target=TARGET, load=lambda: frame)


def shown(frame: pd.DataFrame) -> str:
    """Return a table as text, its first rows, nulls as the word."""
    head = frame.head(MOST_ROWS).astype(object)
    text = head.where(head.notna(), None).to_string(index=False)
    return text if len(frame) <= MOST_ROWS else f"{text}\n… {len(frame)} rows"


def apart(found: Numbers, expected: Numbers) -> str | None:
    """Say where answers differ by more than rounding does (1e-9 of the largest); ``None`` if they differ nowhere."""
    if found.shape != expected.shape:
        return f"{found.shape} answers, not {expected.shape}"
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0))
    near = np.isclose(found, expected, rtol=1e-9, atol=1e-9 * scale, equal_nan=True).reshape(len(expected), -1)
    wrong = np.flatnonzero(~near.all(axis=1))
    return f"row {wrong[0]}: {found[wrong[0]].tolist()}, not {expected[wrong[0]].tolist()}" if len(wrong) else None
