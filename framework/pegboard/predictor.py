"""A bundle made callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.bundle import Bundle
from pegboard.errors import Problem, SignatureError
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
        if self.signature.task == "regression":
            if not len(features):
                return Predictions(np.empty(0))
            return Predictions(_finite(np.asarray(self.pipeline.predict(features), dtype=np.float64)))
        classes = self.signature.classes
        labels = np.array(classes, dtype=object if isinstance(classes[0], str) else None)
        if not len(features):
            return Predictions(labels[:0], np.empty((0, len(classes))), classes)
        if not hasattr(self.pipeline, "predict_proba"):
            return Predictions(np.asarray(self.pipeline.predict(features)))
        probabilities = _finite(np.asarray(self.pipeline.predict_proba(features), dtype=np.float64))
        return Predictions(labels[probabilities.argmax(axis=1)], probabilities, classes)


def _finite(answers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Refuse rows so far from the training data that the model has no finite answer for them."""
    wrong = np.flatnonzero(~np.isfinite(answers).reshape(len(answers), -1).all(axis=1))
    if len(wrong):
        raise SignatureError([Problem(int(row), None, "the model has no finite answer for it") for row in wrong])
    return answers
