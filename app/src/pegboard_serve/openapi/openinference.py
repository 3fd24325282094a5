"""The Open Inference Protocol, version 2: what KServe, Triton, MLServer and their clients speak."""

from __future__ import annotations

from typing import Any

from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi.native import labels
from pegboard_serve.openapi.parts import JSON, Paths, Plain, objects, ref, response, secured
from pegboard_serve.protocols.inference import Output, outputs
from pegboard_serve.protocols.tensors import DATATYPES
from pegboard_serve.settings import Settings

TAG = "Open Inference Protocol"

_TEXT: Plain = {"type": "string"}
_FREE: Plain = {"type": ["object", "null"], "description": "What means nothing here is ignored."}
_SHAPE: Plain = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
_TENSOR = objects(
    {"name": _TEXT, "shape": _SHAPE, "datatype": _TEXT, "data": {"type": ["array", "null"]}, "parameters": _FREE},
    "data",
    "parameters",
    closed=False,
)
_WANTED = objects({"name": _TEXT, "parameters": _FREE}, "parameters", closed=False)
SCHEMAS: Plain = {
    "InferenceRequest": {
        "description": "A tensor for each feature: of shape [rows] or [rows, 1], its data flat or a list for each row.",
        **objects(
            {
                "id": {"type": ["string", "null"], "description": "Echoed."},
                "inputs": {"type": "array", "items": _TENSOR, "minItems": 1},
                "outputs": {"type": ["array", "null"], "items": _WANTED},
                "parameters": _FREE,
            },
            "id",
            "outputs",
            "parameters",
            closed=False,
        ),
    },
    "InferenceError": objects({"error": _TEXT}),
}

_ABOUT_BINARY = (
    "Triton's extension for binary tensors is spoken too: `Inference-Header-Content-Length` is the length of the JSON."
)


def paths(model: Loaded, settings: Settings) -> Paths:
    """Describe ``/v2``."""
    found: Paths = {
        "/v2": _get("v2", "Who serves", _named({"extensions": {"type": "array", "items": _TEXT}})),
        "/v2/health/live": _get("v2Live", "Is the process alive?", objects({"live": {"const": True}})),
        "/v2/health/ready": _ready("v2Ready", "Should requests be sent here?", {"live": {"const": True}}),
    }
    for path, name, parameters in _places(model):
        found[path] = {"parameters": parameters, **_get(f"v2Model{name}", "The model's tensors", _metadata(model))}
        ready = _ready(f"v2ModelReady{name}", "Does the model answer?", {"name": {"const": model.version.name}})
        found[f"{path}/ready"] = {"parameters": parameters, **ready}
        found[f"{path}/infer"] = {"parameters": parameters, "post": _infer(model, settings, name)}
        for item in (found[path]["get"], ready["get"]):
            item["responses"]["404"] = _refusal("Another model is asked for, or another version.")
    return found


def _places(model: Loaded) -> list[tuple[str, str, list[Plain]]]:
    """Return the paths at which the model is, with the parameters in them: without its version, and with it."""
    name = _segment("name", model.version.name)
    version = _segment("version", str(model.version.number))
    base = "/v2/models/{name}"
    return [(base, "", [name]), (f"{base}/versions/{{version}}", "Version", [name, version])]


def _segment(name: str, served: str) -> Plain:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [served]}}


def _get(name: str, summary: str, schema: Plain) -> Plain:
    return {
        "get": {"operationId": name, "tags": [TAG], "summary": summary, "responses": {"200": response("It.", schema)}}
    }


def _ready(name: str, summary: str, details: Plain) -> Plain:
    def said(ready: bool) -> Plain:
        return response("Yes." if ready else "No: it is about to end.", objects({**details, "ready": {"const": ready}}))

    item = _get(name, summary, {})
    item["get"]["responses"] = {"200": said(True), "503": said(False)}
    return item


def _named(more: Plain) -> Plain:
    return objects({"name": _TEXT, "version": _TEXT, **more})


def _metadata(model: Loaded) -> Plain:
    tensor = objects(
        {"name": _TEXT, "datatype": _TEXT, "shape": _SHAPE, "parameters": {"type": "object"}}, "parameters"
    )
    tensors = {"type": "array", "items": tensor, "minItems": 1}
    versions = {"type": "array", "items": _TEXT}
    name = {"const": model.version.name}
    return objects({"name": name, "versions": versions, "platform": _TEXT, "inputs": tensors, "outputs": tensors})


def _infer(model: Loaded, settings: Settings, name: str) -> Plain:
    body = {JSON: {"schema": ref("schemas", "InferenceRequest"), "examples": {"one": {"value": _example(model)}}}}
    responses = {
        "200": response("The outputs that are asked for, by default all.", _answer(model)),
        "400": _refusal("The body is no request of the protocol, or its tensors do not fit the signature."),
        "404": _refusal("Another model is asked for, or another version."),
        "413": _refusal("The body is too large, or has too many rows."),
        "503": _refusal("Too much is waiting already; try again.", Retry_After="RetryAfter"),
    }
    if settings.tokens:
        responses["401"] = _refusal("There is no valid token.", WWW_Authenticate="Challenge")
    return {
        "operationId": f"v2Infer{name}",
        "tags": [TAG],
        "summary": f"Predict {model.bundle.signature.target}",
        "description": _ABOUT_BINARY,
        "requestBody": {"required": True, "content": body},
        "responses": responses,
        **secured(settings),
    }


def _refusal(description: str, **headers: str) -> Plain:
    return response(description, ref("schemas", "InferenceError"), JSON, **headers)


def _answer(model: Loaded) -> Plain:
    tensors = [_output(output, model) for output in outputs(model)]
    properties: Plain = {
        "model_name": {"const": model.version.name},
        "model_version": _TEXT,
        "id": _TEXT,
        "outputs": {"type": "array", "items": {"anyOf": tensors}, "minItems": 1, "maxItems": len(tensors)},
    }
    return objects(properties, "id")


def _output(output: Output, model: Loaded) -> Plain:
    value = {"type": "number"} if output.classes else labels(model.bundle.signature)
    data = {"type": "array", "items": value, "minItems": 1}
    return objects(
        {"name": {"const": output.name}, "datatype": {"const": output.datatype}, "shape": _SHAPE, "data": data}
    )


def _example(model: Loaded) -> Plain:
    row, features = model.example, model.bundle.signature.features
    tensors: list[Any] = [
        {"name": f.name, "shape": [1, 1], "datatype": DATATYPES[f.kind], "data": [row[f.name]]} for f in features
    ]
    return {"id": "1", "inputs": tensors}
