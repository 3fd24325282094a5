"""The replay: a bundle's stored rows, answered again by what was read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pegboard.bundle import REMEDY, Bundle
from pegboard.errors import ReplayError
from pegboard.frames import to_rows
from pegboard.kernels.check import difference

if TYPE_CHECKING:
    from pegboard.predictor import Predictions, Predictor


def replay(bundle: Bundle, predictor: Predictor) -> list[list[Any]]:
    """Return a bundle's stored rows, their values in signature order.

    Raises :class:`~pegboard.errors.ReplayError` unless ``predictor`` answers them as the pipeline did when it was
    published, to 1e-9: another processor or another BLAS may round otherwise, and nothing else may differ.
    """
    stored = bundle.replay()
    try:
        problem = _difference(predictor.predict_records(stored["rows"]), stored)
    except Exception as error:  # whatever a model raises
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise ReplayError(
            f"{bundle.directory}: model {bundle.model!r} predicts differently after it was pickled and read back: "
            f"{problem}; {REMEDY}"
        )
    return to_rows(stored["rows"], bundle.signature)


def _difference(found: Predictions, stored: Mapping[str, Any]) -> str | None:
    if found.probabilities is not None:
        names = [str(label) for label in found.classes]
        expected = [[row[name] for name in names] for row in stored["probabilities"]]
        return _apart(found.probabilities, expected)
    if np.issubdtype(found.values.dtype, np.floating):
        return _apart(found.values, stored["predictions"])
    answers = found.values.tolist()
    pairs = enumerate(zip(answers, stored["predictions"], strict=True))
    return next((f"row {row}: {now!r}, not {then!r}" for row, (now, then) in pairs if now != then), None)


def _apart(found: np.ndarray[Any, Any], stored: Any) -> str | None:
    expected = np.array(stored, dtype=np.float64).reshape(len(stored), *found.shape[1:])
    return difference(found, expected, float(np.abs(expected).max(initial=0)))
