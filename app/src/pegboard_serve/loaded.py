"""One version, loaded and ready to answer: everything a request needs, in one value that is swapped as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from timeit import repeat
from typing import Any

from pegboard.bundle import Bundle
from pegboard.frames import to_rows
from pegboard.predictor import Answers, Predictor
from pegboard.registry import Version
from pegboard.specs import KernelSpec, Versions
from pegboard_serve.rows import Row, RowReader
from pegboard_serve.settings import Settings

#: A row answered within this many seconds is not worth the way to a thread and back.
QUICK = 0.0005
TRIALS = 8


@dataclass(frozen=True)
class Loaded:
    """A version with its bundle, its predictor, and the reader of its rows."""

    version: Version
    bundle: Bundle
    predictor: Predictor
    reader: RowReader
    #: A row of the training data, for descriptions and forms.
    example: Mapping[str, Any]
    #: Whether a row is answered sooner than a thread would wake up.
    quick: bool

    @classmethod
    def of(cls, versions: Versions, version: Version, kernels: Sequence[KernelSpec], settings: Settings) -> Loaded:
        """Load a version and replay it; raises :class:`~pegboard.errors.PegboardError` if it cannot be trusted."""
        bundle = versions.open(version)
        signature, predictor = bundle.signature, Predictor.load(bundle, kernels)
        rows = to_rows(bundle.replay()["rows"][:TRIALS], signature)
        example = dict(zip([feature.name for feature in signature.features], rows[0], strict=True))
        return cls(version, bundle, predictor, RowReader(signature, settings), example, _is_quick(predictor, rows))

    @cached_property
    def label(self) -> str:
        """What ``X-Model-Version`` says."""
        return f"{self.version}; sha256={self.version.digest}"

    @cached_property
    def _categories(self) -> list[tuple[int, str, frozenset[str]]]:
        features = self.bundle.signature.features
        return [(i, f.name, frozenset(f.categories)) for i, f in enumerate(features) if f.categories is not None]

    def predict(self, rows: Sequence[Row]) -> Answers:
        """Answer rows that the reader has accepted."""
        return self.predictor.predict_rows(rows)

    def unknown(self, rows: Sequence[Row]) -> Counter[str]:
        """Count the values that training has not seen, by feature; open-ended columns are not counted."""
        found: Counter[str] = Counter()
        for row in rows:
            for position, name, known in self._categories:
                value = row[position]
                if value not in known and value is not None:
                    found[name] += 1
        return found


def _is_quick(predictor: Predictor, rows: Sequence[Row]) -> bool:
    """Measure on stored rows whether a row takes microseconds, as a kernel's does."""
    if not predictor.compiled:
        return False
    best = min(repeat(lambda: [predictor.predict_rows([row]) for row in rows], number=1, repeat=3))
    return best / len(rows) < QUICK
