"""What the descriptions of all routes share: responses, their headers, and problem documents."""

from __future__ import annotations

from typing import Any

from pegboard_serve.protocols.native import PROBLEM
from pegboard_serve.settings import Settings

Plain = dict[str, Any]
Paths = dict[str, Plain]

JSON = "application/json"

REQUEST_ID: Plain = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "Names the request in the response and in the access log; one that cannot stand there is replaced.",
    "schema": {"type": "string"},
}
RESPONSE_HEADERS: Plain = {
    "ModelVersion": {
        "description": "The version that answered, and the SHA-256 of its bundle.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*/[0-9]+; sha256=[0-9a-f]{64}$"},
    },
    "RequestId": {
        "description": "The request's id: the one that came with it, or one made here.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
    },
    "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "Challenge": {"required": True, "schema": {"const": "Bearer"}},
}


def ref(kind: str, name: str) -> Plain:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def objects(properties: Plain, *optional: str, closed: bool = True) -> Plain:
    """Return the schema of an object that has these properties, all but the ``optional`` ones always."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": not closed}


def response(description: str, schema: Plain, media_type: str = JSON, **headers: str) -> Plain:
    """Return a response; ``headers`` are further ones, by the name of their component, ``_`` standing for ``-``."""
    named = {"X-Model-Version": "ModelVersion", "X-Request-ID": "RequestId"}
    named |= {name.replace("_", "-"): component for name, component in headers.items()}
    return {
        "description": description,
        "headers": {name: ref("headers", component) for name, component in named.items()},
        "content": {media_type: {"schema": schema}},
    }


def problem(description: str, **headers: str) -> Plain:
    """Return a response that is a problem document (RFC 9457)."""
    return response(description, ref("schemas", "Problem"), PROBLEM, **headers)


def secured(settings: Settings) -> Plain:
    """Return what an operation says of tokens, if the server has any."""
    return {"security": [{"bearer": []}]} if settings.tokens else {}


_FOUND = objects(
    {
        "row": {"type": ["integer", "null"], "minimum": 0},
        "field": {"type": ["string", "null"]},
        "problem": {"type": "string"},
    }
)
PROBLEM_SCHEMAS: Plain = {
    "Problem": {
        "description": "A problem document as RFC 9457 has them.",
        **objects(
            {
                "type": {"const": "about:blank"},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string"},
                "problems": {"type": "array", "items": _FOUND, "minItems": 1, "description": "By row and field."},
                "problem_count": {"type": "integer", "minimum": 1, "description": "Those not listed included."},
            },
            "problems",
            "problem_count",
        ),
    }
}
