"""The Open Inference Protocol, version 2, over HTTP: what KServe, Triton, MLServer and their clients speak.

A tensor for each feature, named as it is; the answer is the tensor ``predict`` and, for classes, ``probabilities``.
Triton's extension for binary tensors is spoken too, because its own client uses it unless it is told not to.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version as version_of
from typing import Any

from flask import Blueprint, Response, g, request

from pegboard_serve.protocols.inference import Exchange, Output, check_served, error_reply, outputs
from pegboard_serve.protocols.tensors import DATATYPES
from pegboard_serve.refused import Refused
from pegboard_serve.service import answered, predict, service

JSON_LENGTH = "Inference-Header-Content-Length"
_MODEL = "/models/<name>"
_VERSION = "/models/<name>/versions/<version>"

Health = tuple[dict[str, Any], HTTPStatus]

blueprint = Blueprint("openinference", __name__, url_prefix="/v2")


@blueprint.get("", strict_slashes=False)
def server() -> dict[str, Any]:
    """Say who serves, and with which extensions of the protocol."""
    return {"name": "pegboard", "version": version_of("pegboard-serve"), "extensions": ["binary_tensor_data"]}


@blueprint.get("/health/live")
def live() -> dict[str, Any]:
    """Say that the process answers."""
    return {"live": True}


@blueprint.get("/health/ready")
def ready() -> Health:
    """Say whether requests should be sent here; the specification calls this field ``live`` too."""
    return _readiness({"live": True})


@blueprint.get(f"{_MODEL}/ready")
@blueprint.get(f"{_VERSION}/ready")
def model_ready(name: str, version: str | None = None) -> Health:
    """Say whether a model answers; the served one does until the server ends."""
    check_served(g.model, name, version)
    return _readiness({"name": name})


@blueprint.get(_MODEL)
@blueprint.get(_VERSION)
def metadata(name: str, version: str | None = None) -> dict[str, Any]:
    """Return the tensors that the model takes and answers with; -1 stands for any number of rows."""
    check_served(g.model, name, version)
    features = g.model.bundle.signature.features
    return {
        "name": g.model.version.name,
        "versions": [str(g.model.version.number)],
        "platform": "pegboard",
        "inputs": [{"name": f.name, "datatype": DATATYPES[f.kind], "shape": [-1, 1]} for f in features],
        "outputs": [_described(output) for output in outputs(g.model)],
    }


@blueprint.post(f"{_MODEL}/infer")
@blueprint.post(f"{_VERSION}/infer")
def infer(**model: str) -> Response:
    """Predict."""
    exchange = Exchange(request.headers.get(JSON_LENGTH))
    response = predict(exchange, **model)
    if exchange.json_length is not None:
        response.headers[JSON_LENGTH] = exchange.json_length
        response.content_type = "application/octet-stream"
    return response


@blueprint.errorhandler(Refused)
def _refuse(refused: Refused) -> Response:
    return answered(error_reply(refused))


def _readiness(details: dict[str, Any]) -> Health:
    is_ready = not service().draining
    return {**details, "ready": is_ready}, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE


def _described(output: Output) -> dict[str, Any]:
    """``classes`` name the columns of probabilities, in order; the specification leaves room for parameters."""
    tensor = {"name": output.name, "datatype": output.datatype, "shape": [-1, output.width]}
    return {**tensor, "parameters": {"classes": output.classes}} if output.classes else tensor
