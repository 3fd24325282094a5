"""Pegboard's own protocol: ``POST /predict`` with a JSON list of records, or one; errors as RFC 9457 has them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import msgspec
from flask import Blueprint, Response

from pegboard.predictor import Answers
from pegboard_serve import service
from pegboard_serve.answer import Call, Reply, Request
from pegboard_serve.body import check_type
from pegboard_serve.loaded import Loaded
from pegboard_serve.refused import Refused

PROBLEM = "application/problem+json"
#: No answer lists more problems than this; all are counted.
MOST_PROBLEMS = 1000

to_json = msgspec.json.Encoder().encode


class Native:
    """``POST /predict``."""

    route = "/predict"

    def decode(self, model: Loaded, request: Request) -> Call:
        """Read the body's rows."""
        check_type(request.content_type, "application/json")
        return Call(model.reader.read(request.body))

    def encode(self, model: Loaded, call: Call, answers: Answers) -> bytes:  # noqa: ARG002 - the protocol's signature
        """Write a prediction for each row, and for classes the probabilities; then who has predicted."""
        body: dict[str, Any] = {"predictions": answers.values}
        if answers.probabilities is not None:
            names = [str(label) for label in model.bundle.signature.classes]
            body["probabilities"] = [dict(zip(names, row, strict=True)) for row in answers.probabilities]
        return to_json({**body, "model": model.version.name, "version": model.version.number})

    def refuse(self, refused: Refused) -> Reply:
        """Write a problem document."""
        return problem_reply(refused)


NATIVE = Native()
blueprint = Blueprint("native", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """Answer through Flask as the short way does."""
    return service.predict(NATIVE)


def problem_reply(refused: Refused) -> Reply:
    """Return a problem document; ``problems`` lists rows and fields, at most as many as are useful."""
    status = refused.status
    body: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status.value}
    body["detail"] = refused.detail
    if refused.problems:
        body["problems"] = [asdict(problem) for problem in refused.problems[:MOST_PROBLEMS]]
        body["problem_count"] = refused.total
    # Not msgspec: a field's name may hold half a surrogate pair, which json writes as it came.
    return Reply(status, PROBLEM, json.dumps(body, separators=(",", ":")).encode(), refused.headers)
