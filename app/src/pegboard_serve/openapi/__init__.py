"""The server's own description: an OpenAPI 3.1 document made from the served version's signature.

It forbids nothing that the server accepts. What training saw is told in descriptions and in ``x-training-range``; the
constraints are those that the server enforces.
"""

from __future__ import annotations

from typing import Any

from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi import mlflow, native, openinference, operations, pages
from pegboard_serve.openapi.parts import PROBLEM_SCHEMAS, REQUEST_ID, RESPONSE_HEADERS, Paths, problem
from pegboard_serve.openapi.rows import row_schema
from pegboard_serve.settings import Settings

DESCRIPTION = """\
Made from the signature of the version that serves now. Every response names that version and its digest in
`X-Model-Version`, and the request in `X-Request-ID`. Of two equal keys of one JSON object the last counts.
"""


def openapi(model: Loaded, settings: Settings) -> dict[str, Any]:
    """Return the document for one version under one server's settings, as plain JSON data."""
    parts = (native, operations, openinference, mlflow, pages)
    paths: Paths = {}
    for part in parts:
        paths |= part.paths(model, settings)
    for item in paths.values():
        item["parameters"] = [*item.get("parameters", []), REQUEST_ID]
    if settings.trusted_hosts:
        _refuse_other_hosts(paths)
    return {
        "openapi": "3.1.0",
        "info": _info(model),
        "servers": [{"url": "./", "description": "This server, wherever it is mounted"}],
        "tags": [{"name": part.TAG, "description": part.__doc__.partition("\n")[0]} for part in parts if part.__doc__],
        "paths": paths,
        "components": _components(model, settings),
    }


def _info(model: Loaded) -> dict[str, Any]:
    version, signature = model.version, model.bundle.signature
    return {
        "title": f"{version.name} on Pegboard",
        "version": str(version.number),
        "summary": f"Predicts {signature.target} from {len(signature.features)} features.",
        "description": DESCRIPTION,
        "x-digest": f"sha256:{version.digest}",
    }


def _components(model: Loaded, settings: Settings) -> dict[str, Any]:
    row = row_schema(model.bundle.signature, settings.strict, model.example)
    secured = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}} if settings.tokens else {}
    return {
        "schemas": {"Row": row, **PROBLEM_SCHEMAS, **openinference.SCHEMAS, **mlflow.SCHEMAS},
        "headers": RESPONSE_HEADERS,
        **secured,
    }


def _refuse_other_hosts(paths: Paths) -> None:
    """Every route answers 400 where ``Host`` is none of the trusted ones."""
    for item in paths.values():
        for method in item.keys() & {"get", "post"}:
            item[method]["responses"].setdefault("400", problem("The request's `Host` is not one this server is for."))
