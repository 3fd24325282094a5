"""MLflow's scoring protocol; on port 8080 it is Amazon SageMaker's contract too."""

from __future__ import annotations

from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi import operations
from pegboard_serve.openapi.native import labels
from pegboard_serve.openapi.parts import JSON, Paths, Plain, objects, ref, response, secured
from pegboard_serve.settings import Settings

TAG = "MLflow"
CSV = "text/csv"
TEXT = "text/plain; charset=utf-8"

_ROWS: Plain = {"type": "array", "minItems": 1}
_SPLIT = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {**_ROWS, "items": {"type": "array"}},
        "index": {"description": "Ignored."},
    },
    "required": ["columns", "data"],
    "additionalProperties": False,
}
_FORMS: Plain = {
    "dataframe_split": {**_SPLIT, "description": "A table as pandas splits it."},
    "dataframe_records": {**_ROWS, "description": "Objects with named fields."},
    "instances": {"anyOf": [_ROWS, {"type": "object"}], "description": "As TensorFlow Serving has them: rows."},
    "inputs": {"anyOf": [_ROWS, {"type": "object"}], "description": "As TensorFlow Serving has them: columns."},
}
SCHEMAS: Plain = {
    "Invocation": {
        "type": "object",
        "description": "A table in exactly one of four forms.",
        "properties": {**_FORMS, "params": {"type": ["object", "null"], "maxProperties": 0}},
        "oneOf": [{"required": [form]} for form in _FORMS],
    },
    "MlflowError": objects({"error_code": {"type": "string"}, "message": {"type": "string"}}),
}


def paths(model: Loaded, settings: Settings) -> Paths:
    """Describe the routes of MLflow's scoring server (``/health`` is one of ours)."""
    version = response("Its number.", {"type": "string"}, TEXT)
    ready = operations.paths(model, settings)["/ready"]["get"]["responses"]
    return {
        "/ping": _get("ping", "Should requests be sent here? As `/ready`.", ready),
        "/version": _get("version", "The server's version", {"200": version}),
        "/invocations": {"post": _invocations(model, settings)},
    }


def _get(name: str, summary: str, responses: Plain) -> Plain:
    return {"get": {"operationId": name, "tags": [TAG], "summary": summary, "responses": responses}}


def _invocations(model: Loaded, settings: Settings) -> Plain:
    values = {"type": "array", "items": labels(model.bundle.signature), "minItems": 1}
    responses = {
        "200": response("A prediction for each row.", objects({"predictions": values})),
        "400": _refusal("The body is no table, or its rows do not fit the signature."),
        "413": _refusal("The body is too large, or has too many rows."),
        "415": response("The body is of another type.", {"type": "string"}, TEXT),
        "503": _refusal("Too much is waiting already; try again.", Retry_After="RetryAfter"),
    }
    if settings.tokens:
        responses["401"] = _refusal("There is no valid token.", WWW_Authenticate="Challenge")
    return {
        "operationId": "invocations",
        "tags": [TAG],
        "summary": f"Predict {model.bundle.signature.target}",
        "requestBody": {"required": True, "content": _bodies(model)},
        "responses": responses,
        **secured(settings),
    }


def _bodies(model: Loaded) -> Plain:
    row = model.example
    split = {"columns": list(row), "data": [list(row.values())]}
    examples = {"split": {"value": {"dataframe_split": split}}, "records": {"value": {"dataframe_records": [row]}}}
    about_csv = "A header and at least one row, in UTF-8."
    return {
        JSON: {"schema": ref("schemas", "Invocation"), "examples": examples},
        CSV: {"schema": {"type": "string", "description": about_csv}},
    }


def _refusal(description: str, **headers: str) -> Plain:
    return response(description, ref("schemas", "MlflowError"), JSON, **headers)
