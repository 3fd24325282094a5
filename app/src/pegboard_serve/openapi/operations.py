"""What an operator asks: is it alive, is it ready, what serves, what was counted; and look for another version."""

from __future__ import annotations

from pegboard_serve.loaded import Loaded
from pegboard_serve.metrics import CONTENT_TYPE
from pegboard_serve.openapi.parts import Paths, Plain, objects, problem, response, secured
from pegboard_serve.settings import Settings

TAG = "Operations"

_TEXT: Plain = {"type": "string"}
_SERVED: Plain = {
    "model": _TEXT,
    "version": {"type": "integer", "minimum": 1},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_FAILURE = objects({"version": _TEXT, "reason": _TEXT, "at": {"type": "string", "format": "date-time"}})
_MODEL: Plain = {
    "name": _TEXT,
    "version": _SERVED["version"],
    "digest": _SERVED["digest"],
    "aliases": {"type": "array", "items": _TEXT},
    "published_at": {"type": "string", "format": "date-time"},
    "model": {**_TEXT, "description": "The model that won the comparison."},
    "compiled": {"type": "boolean", "description": "Whether a compiled kernel answers, or the pipeline itself."},
    "predictor": {**_TEXT, "description": "Which of them answers, and why."},
    "signature": {"type": "object"},
    "metrics": {"type": "object"},
    "leaderboard": {"type": "object"},
    "provenance": {"type": "object"},
}


def paths(model: Loaded, settings: Settings) -> Paths:  # noqa: ARG001 - every part of the document has this signature
    """Describe the routes of whoever runs the server."""
    text = "The counts of all processes, as Prometheus reads them."
    return {
        "/health": _get("health", "Is the process alive?", response("It is.", _status("ok"))),
        "/ready": _get(
            "ready",
            "Should requests be sent here?",
            response("They should.", _status("ready", failed=True)),
            {"503": response("They should not: it is about to end.", _status("draining", failed=True))},
        ),
        "/model": _get("model", "What serves: version, signature, scores, origin", response("It.", objects(_MODEL))),
        "/metrics": _get("metrics", "What was counted", response(text, _TEXT, CONTENT_TYPE)),
        "/admin/reload": {"post": _reload(settings)},
    }


def _status(status: str, failed: bool = False) -> Plain:
    further: Plain = {"failed_reload": {"anyOf": [_FAILURE, {"type": "null"}]}} if failed else {}
    return objects({"status": {"const": status}, **_SERVED, **further})


def _get(name: str, summary: str, answer: Plain, others: Plain | None = None) -> Plain:
    operation = {"operationId": name, "tags": [TAG], "summary": summary, "responses": {"200": answer, **(others or {})}}
    return {"get": operation}


def _reload(settings: Settings) -> Plain:
    asked = objects({"status": {"const": "asked"}, "served": _TEXT})
    responses = {
        "202": response("It was asked for; `/ready` tells how it went.", asked),
        "403": problem("The token is not an admin's, or the server has no tokens."),
    }
    if settings.tokens:
        responses["401"] = problem("There is no valid token.", WWW_Authenticate="Challenge")
    summary = "Look for another version behind the served name"
    return {"operationId": "reload", "tags": [TAG], "summary": summary, "responses": responses, **secured(settings)}
