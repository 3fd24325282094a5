"""Predictions in Pegboard's own protocol: JSON records in, predictions out, problem documents when refused."""

from __future__ import annotations

from pegboard.signature import Signature
from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi.parts import JSON, Paths, Plain, objects, problem, ref, response, secured
from pegboard_serve.settings import Settings

TAG = "Prediction"


def paths(model: Loaded, settings: Settings) -> Paths:
    """Describe ``POST /predict``."""
    row = ref("schemas", "Row")
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": settings.max_rows}
    example = model.example
    examples = {
        "one": {"summary": "One row", "value": example},
        "several": {"summary": "Several rows", "value": [example, example]},
    }
    operation = {
        "operationId": "predict",
        "tags": [TAG],
        "summary": f"Predict {model.bundle.signature.target}",
        "description": f"Takes one row, or a list of up to {settings.max_rows}, in at most {settings.max_body} bytes.",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"anyOf": [row, rows]}, "examples": examples}},
        },
        "responses": {"200": response("A prediction for each row.", answers(model)), **refusals(settings)},
        **secured(settings),
    }
    return {"/predict": {"post": operation}}


def answers(model: Loaded) -> Plain:
    """Return the schema of an answer."""
    signature = model.bundle.signature
    properties: Plain = {"predictions": {"type": "array", "items": labels(signature), "minItems": 1}}
    if signature.classes:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        shares = objects({str(label): share for label in signature.classes})
        properties["probabilities"] = {"type": "array", "items": shares, "minItems": 1}
    properties["model"] = {"const": model.version.name}
    properties["version"] = {"type": "integer", "minimum": 1}
    return objects(properties, "probabilities")


def labels(signature: Signature) -> Plain:
    """Return the schema of one prediction: a number, or one of the classes."""
    return {"enum": list(signature.classes)} if signature.classes else {"type": "number"}


def refusals(settings: Settings) -> Plain:
    """Return the answers to what gets no prediction."""
    found: Plain = {
        "400": problem("The body is no JSON, or holds no rows."),
        "413": problem("The body is too large, or has too many rows."),
        "415": problem("The body is of another type."),
        "422": problem("The rows do not fit the signature: every problem with its row and field."),
        "503": problem("Too much is waiting already; try again.", Retry_After="RetryAfter"),
    }
    if settings.tokens:
        found["401"] = problem("There is no valid token.", WWW_Authenticate="Challenge")
    return found
