"""A regression on a scaled target: the answer is scaled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.specs import Kernel


class ScaledTarget:
    """``answer * scale + mean`` of another kernel's answer."""

    def __init__(self, kernel: Kernel, scale: float, mean: float) -> None:
        self._one: Any = kernel.one
        self._many = kernel.many
        self._scale = scale
        self._mean = mean

    def one(self, values: Sequence[Any]) -> float:
        """Return the prediction of one row."""
        answer: float = self._one(values) * self._scale + self._mean
        return answer

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the predictions of canonical columns."""
        answers = self._many(columns)
        answers *= self._scale
        answers += self._mean
        return answers
