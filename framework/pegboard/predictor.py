"""A bundle made callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.bundle import Bundle
from pegboard.errors import PluginError, Problem, SignatureError
from pegboard.frames import Column, as_frame, conform_columns, from_rows, to_rows
from pegboard.kernels.choose import Choice, choose
from pegboard.replay import replay
from pegboard.signature import ClassLabel, Signature
from pegboard.specs import Kernel, KernelSpec

NOT_LOOKED_FOR = Choice(None, "no kernel was looked for")
NO_ANSWER = "the model has no finite answer for it"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Answers for a table: float64 values for regression, labels and (n, classes) probabilities for classification."""

    values: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None = None
    classes: tuple[ClassLabel, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, one element for each row."""
        plain: dict[str, Any] = {"predictions": self.values.tolist()}
        if self.probabilities is not None:
            names = [str(label) for label in self.classes]
            plain["probabilities"] = [dict(zip(names, row, strict=True)) for row in self.probabilities.tolist()]
        return plain


@dataclass(frozen=True, slots=True)
class Answers:
    """What goes over a wire: plain Python values, and a list of one probability for each class for every row."""

    values: list[Any]
    probabilities: list[list[float]] | None


class Predictor:
    """A fitted pipeline behind its signature, or a kernel in its place.

    ``note`` says which of them answers, and why; ``kernel_refused`` that a kernel was tried and cannot be trusted.

    Threads may share one.
    """

    def __init__(self, pipeline: Any, signature: Signature, choice: Choice = NOT_LOOKED_FOR) -> None:
        self.pipeline = pipeline
        self.signature = signature
        self.kernel, self.note, self.kernel_refused = choice

    @property
    def compiled(self) -> bool:
        """Whether a kernel answers."""
        return self.kernel is not None

    @classmethod
    def load(cls, bundle: Bundle, kernels: Sequence[KernelSpec] = ()) -> Predictor:
        """Unpickle a bundle's pipeline, after its digest was checked, and use the kernel that fits it, if one does.

        Raises :class:`~pegboard.errors.ReplayError` unless the pipeline answers the bundle's stored rows as it did when
        it was published. A kernel is used if it agrees with the pipeline on those rows, and on others at the edges of
        the signature; if not, :attr:`note` says why.
        """
        plain = cls(bundle.pipeline(), bundle.signature)
        rows = replay(bundle, plain)
        return cls(plain.pipeline, plain.signature, choose(plain.pipeline, plain.signature, kernels, plain.ask, rows))

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """Predict for any table that has the features; raises :class:`~pegboard.errors.SignatureError`."""
        return self._predict(conform_columns(frame, self.signature))

    def predict_records(self, records: Sequence[Mapping[str, Any]]) -> Predictions:
        """Predict for decoded JSON records; raises :class:`~pegboard.errors.SignatureError` with all problems."""
        if problems := self.signature.problems(records):
            raise SignatureError(problems)
        return self._predict(from_rows(to_rows(records, self.signature), self.signature))

    def predict_rows(self, rows: Sequence[Sequence[Any]]) -> Answers:
        """Predict for rows of checked JSON values in signature order; more values in a row (keys) are ignored.

        Raises :class:`~pegboard.errors.SignatureError` where there is no finite answer.
        """
        if self.kernel is not None and len(rows) == 1:
            return self._one(self.kernel.one(rows[0]))
        found = self._predict(from_rows(rows, self.signature))
        return Answers(found.values.tolist(), None if found.probabilities is None else found.probabilities.tolist())

    def _one(self, answer: float | list[float]) -> Answers:
        if isinstance(answer, float):
            if not isfinite(answer):
                raise SignatureError([Problem(0, None, NO_ANSWER)])
            return Answers([answer], None)
        if not all(map(isfinite, answer)):
            raise SignatureError([Problem(0, None, NO_ANSWER)])
        return Answers([self.signature.classes[answer.index(max(answer))]], [answer])

    def ask(self, columns: Sequence[Column]) -> Numbers:
        """Ask the pipeline itself for its numbers: (rows,) values, or (rows, classes) probabilities, finite or not."""
        rows, classes = len(columns[0]), len(self.signature.classes)
        shape = (rows, classes) if classes else (rows,)
        if not rows:
            return np.empty(shape)
        features = as_frame(columns, self.signature)
        return _shaped(self.pipeline.predict_proba(features) if classes else self.pipeline.predict(features), shape)

    def _predict(self, columns: Sequence[Column]) -> Predictions:
        classes = self.signature.classes
        if classes and not hasattr(self.pipeline, "predict_proba"):
            return Predictions(self._labels(columns))
        numbers = _finite(self._compiled(self.kernel, columns) if self.kernel else self.ask(columns))
        if not classes:
            return Predictions(numbers)
        return Predictions(_array(classes)[numbers.argmax(axis=1)], numbers, classes)

    def _compiled(self, kernel: Kernel, columns: Sequence[Column]) -> Numbers:
        if not len(columns[0]):
            return self.ask(columns)
        with np.errstate(all="ignore"):  # an answer that is not finite is refused, which says more than a warning
            return kernel.many(columns)

    def _labels(self, columns: Sequence[Column]) -> npt.NDArray[Any]:
        if not len(columns[0]):
            return _array(self.signature.classes)[:0]
        return np.asarray(self.pipeline.predict(as_frame(columns, self.signature)))


def _array(classes: Sequence[ClassLabel]) -> npt.NDArray[Any]:
    return np.array(classes, dtype=object if isinstance(classes[0], str) else None)


def _shaped(given: Any, shape: tuple[int, ...]) -> Numbers:
    """Return a model's answers as float64; refuse another shape."""
    answers = np.asarray(given, dtype=np.float64)
    if answers.shape == (*shape, 1):
        answers = answers[..., 0]
    if answers.shape != shape:
        raise PluginError(f"the model answers with shape {answers.shape} where {shape} is right")
    return answers


def _finite(answers: Numbers) -> Numbers:
    """Refuse rows for which there is no finite answer."""
    wrong = np.flatnonzero(~np.isfinite(answers).reshape(len(answers), -1).all(axis=1)) if len(answers) else ()
    if len(wrong):
        raise SignatureError([Problem(int(row), None, NO_ANSWER) for row in wrong])
    return answers
