"""The signature: which columns a model takes, learned once and used everywhere.

The same object gives the skeleton of the expectations, checks requests, and says what the canonical form of a table is
(:mod:`pegboard.frames`). It is learned by :mod:`pegboard.learning`. Nothing here imports pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pegboard.errors import Problem, did_you_mean
from pegboard.specs import Kind, Task

#: The largest magnitude of a number: that of float32, in which trees hold their features.
LARGEST_NUMBER = 3.4028234663852886e38
#: The largest magnitude of an integer that float64 tells from its neighbours (I-JSON, RFC 7493, has the same bound):
#: 2**53 itself may be 2**53 + 1, rounded.
LARGEST_INTEGER = 2**53 - 1
#: Above this many distinct texts a column is open-ended and its categories are not listed.
MOST_CATEGORIES = 1000
#: For this many unknown fields of a request, and up to this length, the nearest feature is looked for.
MOST_HINTS = 100
LONGEST_HINTED = 200

ClassLabel = str | int | bool


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column: its kind, whether training saw nulls in it, and the range or categories it saw."""

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None

    def problem(self, value: object, strict: bool = False) -> str | None:
        """What is wrong with ``value`` as a JSON value of this feature; ``None`` if nothing is.

        A category that training has not seen is a problem only where ``strict`` says so.
        """
        if value is None:
            return None if self.nullable else "must not be null: the training data has no nulls here"
        if problem := _CHECKS[self.kind](value):
            return problem
        if strict and self.categories is not None and value not in self.categories:
            return "is no category that training has seen, and the server is strict"
        return None


@dataclass(frozen=True, slots=True)
class Signature:
    """Keys, features and target of a table, and the task.

    ``classes`` are the target's labels in sorted order (empty for regression). Keys are accepted and ignored.
    """

    task: Task
    features: tuple[Feature, ...]
    target: str
    keys: tuple[str, ...] = ()
    classes: tuple[ClassLabel, ...] = ()

    def problems(self, records: Sequence[object], strict: bool = False) -> list[Problem]:
        """Everything wrong with decoded JSON records: missing, unknown and mistyped fields, by row and field.

        ``strict`` refuses categories that training has not seen.
        """
        found: list[Problem] = []
        hints = _Hints(feature.name for feature in self.features)
        for row, record in enumerate(records):
            if isinstance(record, Mapping):
                found += self._record_problems(row, record, hints, strict)
            else:
                found.append(Problem(row, None, f"must be an object with named fields, not {_json_type(record)}"))
        return found

    def _record_problems(self, row: int, record: Mapping[str, Any], hints: _Hints, strict: bool) -> list[Problem]:
        found = []
        for feature in self.features:
            if feature.name not in record:
                found.append(Problem(row, feature.name, "is missing" + (" (null is allowed)" * feature.nullable)))
            elif problem := feature.problem(record[feature.name], strict):
                found.append(Problem(row, feature.name, problem))
        for name in record:
            if name not in hints.known and name not in self.keys:
                found.append(Problem(row, name, f"is not a feature{hints[name]}"))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signature:
        """Read what :meth:`to_dict` wrote, JSON lists included."""
        features = tuple(
            Feature(**{**f, "categories": None if f["categories"] is None else tuple(f["categories"])})
            for f in data["features"]
        )
        sequences = {"features": features, "keys": tuple(data["keys"]), "classes": tuple(data["classes"])}
        return cls(**{**data, **sequences})


class _Hints(dict[str, str]):
    """The nearest known name for each unknown one, searched once: a request may have a million, at 50 µs each."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__()
        self.known = frozenset(known)

    def __missing__(self, name: str) -> str:
        sought = len(self) < MOST_HINTS and len(name) <= LONGEST_HINTED
        self[name] = did_you_mean(name, self.known) if sought else ""
        return self[name]


def _json_type(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


def _number_problem(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {_json_type(value)}"
    # Comparing works on an int of any length, where converting it to float would not; NaN is below nothing.
    return None if abs(value) <= LARGEST_NUMBER else f"must be a finite number of at most {LARGEST_NUMBER:.4g}"


def _integer_problem(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be an integer, not {_json_type(value)}"
    if isinstance(value, float) and not value.is_integer():
        return "must be an integer"
    return None if abs(value) <= LARGEST_INTEGER else "must be an integer below 2**53 in magnitude"


def _boolean_problem(value: object) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {_json_type(value)}"


def _category_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a text, not {_json_type(value)}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "must be valid Unicode: it holds a lone surrogate"
    return None


_CHECKS: dict[Kind, Callable[[object], str | None]] = {
    "number": _number_problem,
    "integer": _integer_problem,
    "boolean": _boolean_problem,
    "category": _category_problem,
}
