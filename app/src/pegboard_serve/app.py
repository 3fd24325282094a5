"""The application factory: a version in its slot, the function that answers, and the routes around it."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import cast

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from pegboard.catalog import Catalog
from pegboard.manager import load_plugins
from pegboard.registry import Registry
from pegboard.signing import Trust
from pegboard.specs import Versions
from pegboard_serve import operations, pages
from pegboard_serve.access import JsonLog, NoLog
from pegboard_serve.answer import Answering
from pegboard_serve.front import Front
from pegboard_serve.loaded import Loaded
from pegboard_serve.metrics import Metrics
from pegboard_serve.protocols import mlflow, native, openinference
from pegboard_serve.refused import Refused
from pegboard_serve.service import EXTENSION, Service, answered, service
from pegboard_serve.settings import Settings
from pegboard_serve.slot import Slot
from pegboard_serve.tokens import Tokens


def create_app(settings: Settings) -> Flask:
    """Load the version that the settings name and return the application that serves it.

    Raises :class:`~pegboard.errors.PegboardError` if there is no such version or it cannot be trusted.
    """
    catalog, metrics, tokens = Catalog(load_plugins()), Metrics(), Tokens(settings.tokens)
    versions = _versions(settings, catalog)
    load = partial(Loaded.of, versions, kernels=catalog.kernels(), settings=settings)
    slot = Slot(versions, settings.model, load, metrics)
    app = Flask(__name__)
    app.extensions[EXTENSION] = Service(settings, slot, tokens, metrics, Answering(slot, tokens, metrics, settings))
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    app.before_request(_take_version)
    app.after_request(_name_version)
    app.register_error_handler(Refused, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    for part in (native, openinference, mlflow, operations, pages):
        app.register_blueprint(part.blueprint)
    log = JsonLog() if settings.access_log else NoLog()
    app.wsgi_app = Front(service(app).answering, app.wsgi_app, settings.trusted_hosts, log)  # type: ignore[method-assign]
    return app


def _versions(settings: Settings, catalog: Catalog) -> Versions:
    """Return where the served version is found: the registry, or what a plugin knows by the start of its name."""
    trusted = Trust.of(settings.trusted_keys) if settings.trusted_keys else None
    if (resolver := catalog.resolver(settings.model)) is not None:
        return resolver.make(settings.registry, trusted)
    return Registry(settings.registry, trusted, offline=True)


def front(app: Flask) -> Front:
    """Return the outermost callable of an application made by :func:`create_app`."""
    return cast(Front, app.wsgi_app)


def _take_version() -> None:
    """Read the slot once, so that a page speaks of one version."""
    g.model = service().slot.current


def _name_version(response: Response) -> Response:
    response.headers.setdefault("X-Model-Version", g.model.label)
    return response


def _refuse(refused: Refused) -> Response:
    return answered(native.problem_reply(refused))


def _refuse_http(error: HTTPException) -> Response:
    allowed = tuple((name, value) for name, value in error.get_headers() if name == "Allow")
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    return _refuse(Refused(status, error.description or status.phrase, headers=allowed))
