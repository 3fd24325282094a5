"""A row's JSON Schema, from the signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Feature, Signature

Schema = dict[str, Any]

_KINDS: dict[str, Schema] = {
    "number": {"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
    "integer": {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
    "boolean": {"type": "boolean"},
    "category": {"type": "string"},
}


def row_schema(signature: Signature, strict: bool, example: Mapping[str, Any]) -> Schema:
    """Return the schema of one row: every feature is needed, keys may come along, and nothing else may."""
    properties = {feature.name: feature_schema(feature, strict) for feature in signature.features}
    keys = {name: {"description": "A key of the training data: accepted, and ignored."} for name in signature.keys}
    return {
        "type": "object",
        "properties": properties | keys,
        "required": list(properties),
        "additionalProperties": False,
        "examples": [example],
    }


def feature_schema(feature: Feature, strict: bool) -> Schema:
    """Return the schema of one feature: what is enforced as constraints, what training saw as a description."""
    schema = _categories(feature, strict) if feature.categories else dict(_KINDS[feature.kind])
    if feature.nullable:
        schema = _or_null(schema)
    if feature.minimum is None or feature.maximum is None:
        return schema
    seen = f"Training saw {plain(feature.minimum)} to {plain(feature.maximum)}; other values are accepted."
    return {**schema, "description": seen, "x-training-range": [feature.minimum, feature.maximum]}


def plain(value: float) -> str:
    """Write a number as people do: 60 for 60.0."""
    return str(int(value)) if float(value).is_integer() and abs(value) <= LARGEST_INTEGER else repr(value)


def _categories(feature: Feature, strict: bool) -> Schema:
    known = {"type": "string", "enum": list(feature.categories or ())}
    if strict:
        return known
    seen = "The values are those of training; another text is accepted, and counted as unknown."
    return {"anyOf": [known, {"type": "string"}], "description": seen}


def _or_null(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}
