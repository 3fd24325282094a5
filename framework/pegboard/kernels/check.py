"""Whether a kernel answers as its pipeline does: on stored rows, and on rows at the edges of the signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.frames import Column, from_rows
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature
from pegboard.specs import Kernel

#: How far two answers may be apart: relative to the answer, and to the largest answer to a stored row, below which the
#: rounding of the terms of a sum shows.
RELATIVE = 1e-9
OF_LARGEST = 1e-12

#: Of a feature's categories, this many are tried.
MOST_CATEGORIES = 64
UNKNOWN = "\N{REPLACEMENT CHARACTER} no category of any model"

Row = Sequence[Any]
Answers = npt.NDArray[np.float64]
Ask = Callable[[Sequence[Column]], Answers]


def disagreement(kernel: Kernel, ask: Ask, signature: Signature, rows: Sequence[Row]) -> str | None:
    """Say where a kernel differs from what ``ask`` (the pipeline) answers; ``None`` if it differs nowhere.

    ``rows`` are checked JSON values in signature order. Both of the kernel's ways are tried on them and on
    :func:`edge_rows`. Whatever the kernel raises is raised.
    """
    stored, edges = ask(from_rows(rows, signature)), edge_rows(signature, rows[0])
    largest = float(np.abs(stored).max())
    for name, asked, expected in (("row", rows, stored), ("edge row", edges, _each(ask, signature, edges))):
        one = _plain([kernel.one(row) for row in asked], signature)
        with np.errstate(all="ignore"):  # an answer that is not finite is compared, and needs no warning
            many = kernel.many(from_rows(asked, signature))
        for answers in (one, many):
            if problem := difference(answers, expected, largest, name):
                return problem
    return None


def difference(answers: Any, expected: Answers, largest: float, name: str = "row") -> str | None:
    """Say which row differs first, as ``"row 3: 1.0, not 2.0"``; ``None`` if none does, not finite being all one."""
    if np.shape(answers) != expected.shape:
        return f"answers have the shape {np.shape(answers)}, not {expected.shape}"
    finite = np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        near = np.abs(answers - expected) <= RELATIVE * np.abs(expected) + OF_LARGEST * largest
    wrong = np.flatnonzero(~np.where(finite, near, ~np.isfinite(answers)).reshape(len(expected), -1).all(axis=1))
    if not len(wrong):
        return None
    return f"{name} {wrong[0]}: {answers[wrong[0]].tolist()}, not {expected[wrong[0]].tolist()}"


def edge_rows(signature: Signature, base: Row) -> list[list[Any]]:
    """Return rows that differ from ``base`` in one feature, a row for each value at that feature's edges."""
    return [
        [*base[:position], value, *base[position + 1 : len(signature.features)]]
        for position, feature in enumerate(signature.features)
        for value in _edges(feature)
    ]


def _edges(feature: Feature) -> Iterator[Any]:
    if feature.nullable:
        yield None
    if feature.kind == "category":
        yield from (UNKNOWN, "", *(feature.categories or ())[:MOST_CATEGORIES])
    elif feature.kind == "boolean":
        yield from (True, False)
    else:
        largest = LARGEST_INTEGER if feature.kind == "integer" else LARGEST_NUMBER
        seen = [edge for edge in (feature.minimum, feature.maximum) if edge is not None]
        yield from (0, *seen, *(edge + 1 for edge in seen), largest, -largest)


def _each(ask: Ask, signature: Signature, rows: Sequence[Row]) -> Answers:
    """Return the pipeline's answers; NaN for a row that it refuses, for which it is asked row by row."""
    try:
        return ask(from_rows(rows, signature))
    except Exception:  # whatever a model raises
        return np.array([_only(ask, signature, row) for row in rows])


def _only(ask: Ask, signature: Signature, row: Row) -> Any:
    try:
        return ask(from_rows([row], signature))[0]
    except Exception:  # as above
        return np.full(len(signature.classes), np.nan) if signature.classes else np.nan


def _plain(answers: Sequence[Any], signature: Signature) -> Answers:
    """Return one-row answers as an array; refuse what is no plain number of Python, which JSON could not say."""
    for answer in answers:
        numbers = answer if signature.classes and type(answer) is list else [answer]
        if any(type(number) is not float for number in numbers):
            kinds = "a list of floats" if signature.classes else "a float"
            raise TypeError(f"one() gave {answer!r}, not {kinds}")
    return np.array(answers)
