"""The preprocessing of a fitted pipeline, compiled: dictionaries for one row, arrays for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.kernels.reading import NotKnown, read
from pegboard.kernels.slots import Lookup, Number
from pegboard.signature import Signature


class Encoder:
    """From a row, or canonical columns, to the matrix on which a pipeline's last step was fitted, to the last bit.

    ``width`` is the number of the matrix's columns. ``numbers`` and ``lookups`` say how they come about, each with the
    position of its first column, for kernels that need no matrix.
    """

    def __init__(self, slots: Sequence[Number | Lookup]) -> None:
        self.numbers: list[tuple[int, Number]] = []
        self.lookups: list[tuple[int, Lookup]] = []
        self.width = 0
        for slot in slots:
            if isinstance(slot, Number):
                self.numbers.append((self.width, slot))
                self.width += 1
            else:
                self.lookups.append((self.width, slot))
                self.width += slot.rows.shape[1]
        self._numbers = [(n.feature, n.missing, n.mean, n.scale) for _, n in self.numbers]
        self._lookups = [(lookup.feature, *lookup.by_value(lookup.rows.tolist())) for _, lookup in self.lookups]
        self._order = self._positions()

    @classmethod
    def of(cls, pipeline: Any, signature: Signature) -> Encoder | None:
        """Compile all but the last step of a fitted pipeline; ``None`` where a step is not known.

        Known are scikit-learn's own ``ColumnTransformer`` and ``Pipeline`` of ``SimpleImputer``, ``StandardScaler``,
        ``OneHotEncoder``, ``passthrough`` and ``drop``; the columns are the signature's, in canonical form.
        """
        steps = [step for _, step in pipeline.steps[:-1]] if hasattr(pipeline, "steps") else []
        try:
            return cls(read(steps, signature))
        except NotKnown:
            return None

    def one(self, values: Sequence[Any]) -> list[float]:
        """Return the matrix's row for checked JSON values in signature order."""
        row = [
            missing if (value := values[feature]) is None else (value - mean) / scale
            for feature, missing, mean, scale in self._numbers
        ]
        for feature, table, unknown in self._lookups:
            row += table.get(values[feature], unknown)
        return [row[position] for position in self._order] if self._order else row

    def many(self, columns: Sequence[npt.NDArray[Any]], dtype: type[np.floating[Any]] = np.float64) -> npt.NDArray[Any]:
        """Return the matrix of canonical columns, (rows, width); its numbers are computed in float64, then cast."""
        matrix = np.empty((len(columns[0]), self.width), dtype=dtype)
        for position, number in self.numbers:
            matrix[:, position] = number.many(columns[number.feature])
        for (position, lookup), codes in zip(self.lookups, self.codes(columns), strict=True):
            rows = lookup.rows.astype(dtype)
            matrix[:, position : position + rows.shape[1]] = rows[codes]
        return matrix

    def codes(self, columns: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[np.intp]]:
        """Return, for each of :attr:`lookups`, the number of the row that each value has in it."""
        return [lookup.codes(columns[lookup.feature]) for _, lookup in self.lookups]

    def _positions(self) -> list[int] | None:
        """Return where the matrix's columns are in numbers-then-lookups; ``None`` where that is their order."""
        grouped = [position for position, _ in self.numbers]
        for start, lookup in self.lookups:
            grouped += range(start, start + lookup.rows.shape[1])
        return None if grouped == sorted(grouped) else np.argsort(grouped).tolist()
