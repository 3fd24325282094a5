"""Pages for people: a form made from the signature, and the interactive description. Nothing comes from elsewhere."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from flask import Blueprint, Response, g, render_template, send_from_directory

from pegboard_serve.board import board
from pegboard_serve.card import card
from pegboard_serve.form import fields, script_data
from pegboard_serve.openapi import openapi
from pegboard_serve.protocols.native import to_json
from pegboard_serve.service import service

blueprint = Blueprint("pages", __name__)

#: A page loads, calls and is framed by nothing but this server; images may be inline (Swagger UI's are).
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_SWAGGER = files("flask_swagger_ui") / "dist"


@blueprint.get("/")
def index() -> Response:
    """Show the form, the model card and the leaderboard."""
    this, model = service(), g.model
    features = fields(model, this.settings.strict)
    return _page("index.html", fields=features, data=script_data(model), card=card(model), board=board(model.bundle))


@blueprint.get("/docs")
def docs() -> Response:
    """Show the description as a page on which requests can be tried."""
    return _page("docs.html")


@blueprint.get("/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js'):file>")
def docs_file(file: str) -> Response:
    """Send a part of Swagger UI."""
    with as_file(_SWAGGER) as directory:
        return send_from_directory(directory, file)


@blueprint.get("/openapi.json")
def document() -> Response:
    """Return the description itself."""
    return Response(to_json(openapi(g.model, service().settings)), content_type="application/json")


def _page(template: str, **values: Any) -> Response:
    """Render a template. Its links are relative, so that it works behind any prefix of a proxy."""
    version, settings = g.model.version, service().settings
    page = render_template(template, version=version, secured=bool(settings.tokens), **values)
    return Response(page, headers=_HEADERS)
