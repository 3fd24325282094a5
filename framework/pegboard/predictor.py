"""A bundle made callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.bundle import Bundle
from pegboard.errors import PluginError, Problem, SignatureError
from pegboard.frames import conform, from_records
from pegboard.signature import ClassLabel, Signature


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


class Predictor:
    """A fitted pipeline behind its signature."""

    def __init__(self, pipeline: Any, signature: Signature) -> None:
        self.pipeline = pipeline
        self.signature = signature

    @classmethod
    def load(cls, bundle: Bundle) -> Predictor:
        """Unpickle a bundle's pipeline, after its digest was checked."""
        return cls(bundle.pipeline(), bundle.signature)

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """Predict for any table that has the features; raises :class:`~pegboard.errors.SignatureError`."""
        return self._predict(conform(frame, self.signature))

    def predict_records(self, records: Sequence[Mapping[str, Any]]) -> Predictions:
        """Predict for decoded JSON records; raises :class:`~pegboard.errors.SignatureError` with all problems."""
        if problems := self.signature.problems(records):
            raise SignatureError(problems)
        return self._predict(from_records(records, self.signature))

    def _predict(self, features: pd.DataFrame) -> Predictions:
        rows, classes = len(features), self.signature.classes
        if self.signature.task == "regression":
            values = self.pipeline.predict(features) if rows else np.empty(0)
            return Predictions(_answers(values, (rows,)))
        labels = np.array(classes, dtype=object if isinstance(classes[0], str) else None)
        if not hasattr(self.pipeline, "predict_proba"):
            return Predictions(np.asarray(self.pipeline.predict(features)) if rows else labels[:0])
        shape = (rows, len(classes))
        probabilities = _answers(self.pipeline.predict_proba(features) if rows else np.empty(shape), shape)
        return Predictions(labels[probabilities.argmax(axis=1)], probabilities, classes)


def _answers(given: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return a model's answers as float64; refuse another shape, and rows for which there is no finite answer."""
    answers = np.asarray(given, dtype=np.float64)
    if answers.shape == (*shape, 1):
        answers = answers[..., 0]
    if answers.shape != shape:
        raise PluginError(f"the model answers with shape {answers.shape} where {shape} is right")
    wrong = np.flatnonzero(~np.isfinite(answers).all(axis=tuple(range(1, answers.ndim))))
    if len(wrong):
        raise SignatureError([Problem(int(row), None, "the model has no finite answer for it") for row in wrong])
    return answers
