"""Pages for people, and this document."""

from __future__ import annotations

from pegboard_serve.loaded import Loaded
from pegboard_serve.openapi.parts import JSON, Paths, Plain, response
from pegboard_serve.settings import Settings

TAG = "Pages"
HTML = "text/html; charset=utf-8"


def paths(model: Loaded, settings: Settings) -> Paths:  # noqa: ARG001 - every part of the document has this signature
    """Describe the pages."""
    return {
        "/": _page("form", "A form made from the signature, the model card and the leaderboard", HTML),
        "/docs": _page("docs", "This document as a page on which requests can be tried", HTML),
        "/openapi.json": _page("openapi", "This document", JSON),
    }


def _page(name: str, summary: str, media_type: str) -> Plain:
    schema: Plain = {"type": "object" if media_type == JSON else "string"}
    responses = {"200": response("It.", schema, media_type)}
    return {"get": {"operationId": name, "tags": [TAG], "summary": summary, "responses": responses}}
