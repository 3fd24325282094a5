"""The form's fields, from the signature: what is asked for each feature, and what its script needs to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pegboard.signature import Feature
from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi.rows import plain


@dataclass(frozen=True, slots=True)
class Field:
    """One control: ``number``, ``choice`` or ``text``, filled with ``value``; ``choices`` are numbered by position.

    ``other`` offers a category that training has not seen.
    """

    name: str
    control: str
    value: Any
    nullable: bool
    choices: tuple[str, ...] = ()
    other: bool = False
    hint: str = ""
    step: str = "any"


def fields(model: Loaded, strict: bool) -> list[Field]:
    """Return a field for each feature, filled with the first row that the bundle keeps."""
    example = model.example
    return [_field(feature, example[feature.name], strict) for feature in model.bundle.signature.features]


def script_data(model: Loaded) -> dict[str, Any]:
    """Return what the form's script needs: names and categories as they are, which HTML may not keep to the letter."""
    signature = model.bundle.signature
    kinds = [{"name": f.name, "kind": f.kind, "choices": _choices(f)} for f in signature.features]
    ranges = [{"minimum": f.minimum, "maximum": f.maximum} for f in signature.features]
    return {
        "features": [kind | seen for kind, seen in zip(kinds, ranges, strict=True)],
        "target": signature.target,
        "classes": [str(label) for label in signature.classes],
        "model": model.version.name,
        "version": model.version.number,
    }


def _field(feature: Feature, value: Any, strict: bool) -> Field:
    if choices := _choices(feature):
        other = feature.kind == "category" and not strict
        chosen = None if value is None else choices.index(value)
        return Field(feature.name, "choice", chosen, feature.nullable, tuple(map(_shown, choices)), other)
    if feature.kind == "category":
        return Field(feature.name, "text", value, feature.nullable)
    shown = None if value is None else plain(value)
    return Field(feature.name, "number", shown, feature.nullable, hint=_hint(feature), step=_step(feature))


def _choices(feature: Feature) -> list[Any]:
    return [False, True] if feature.kind == "boolean" else list(feature.categories or ())


def _shown(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else choice or "(empty text)"


def _hint(feature: Feature) -> str:
    known = feature.minimum is not None and feature.maximum is not None
    seen = f"{plain(feature.minimum or 0)} to {plain(feature.maximum or 0)}" if known else "no value"
    return seen + " or empty" * feature.nullable


def _step(feature: Feature) -> str:
    """Return what an arrow key adds: 1 for integers, else the power of ten below a tenth of the training range."""
    if feature.kind == "integer":
        return "1"
    extent = (feature.maximum or 0) - (feature.minimum or 0)
    return plain(10.0 ** math.floor(math.log10(extent / 10))) if 0 < extent < math.inf else "any"
