"""The application: a version's predictor behind ``POST /predict``, and ``GET /health``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from pegboard.errors import Problem, SignatureError
from pegboard.predictor import Predictor
from pegboard.registry import Registry, Version
from pegboard_serve.body import BadBody, parse_records
from pegboard_serve.settings import Settings

#: No answer lists more problems than this; all are counted.
MOST_PROBLEMS = 1000


@dataclass(frozen=True)
class Served:
    """What an application serves."""

    version: Version
    predictor: Predictor
    max_rows: int


def create_app(settings: Settings) -> Flask:
    """Load the version that the settings name and return the application that serves it.

    Raises :class:`~pegboard.errors.PegboardError` if there is no such version or it cannot be trusted.
    """
    registry = Registry(settings.registry)
    version = registry.resolve(settings.model)
    app = Flask(__name__, static_folder=None)
    app.extensions["pegboard"] = Served(version, Predictor.load(registry.open(version)), settings.max_rows)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.add_url_rule("/predict", view_func=predict, methods=["POST"])
    app.add_url_rule("/health", view_func=health)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(SignatureError, _signature_problem)
    app.register_error_handler(BadBody, _body_problem)
    app.after_request(_name_version)
    return app


def served(app: Flask) -> Served:
    """Return what an application made by :func:`create_app` serves."""
    found: Served = app.extensions["pegboard"]
    return found


def predict() -> dict[str, Any]:
    """Answer a JSON list of records, or one record, with a prediction for each."""
    this = served(current_app)
    records = parse_records(request.get_data(), request.mimetype, this.max_rows)
    answer = this.predictor.predict_records(records).to_dict()
    return {**answer, "model": this.version.name, "version": this.version.number}


def health() -> dict[str, Any]:
    """Say that the server answers, and with which version."""
    version = served(current_app).version
    return {"status": "ok", "model": version.name, "version": version.number, "digest": version.digest}


def _name_version(response: Response) -> Response:
    version = served(current_app).version
    response.headers["X-Model-Version"] = f"{version}; sha256={version.digest}"
    return response


def _problem(status: int, detail: str, problems: tuple[Problem, ...] = (), total: int = 0) -> Response:
    """Return a problem document (RFC 9457); ``problems`` lists rows and fields, at most as many as are useful."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body["detail"] = detail
    if problems:
        body["problems"] = [asdict(problem) for problem in problems[:MOST_PROBLEMS]]
        body["problem_count"] = total
    response: Response = current_app.json.response(body)  # type: ignore[assignment]
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def _signature_problem(error: SignatureError) -> Response:
    detail = f"{error.total} problem{'s' * (error.total != 1)} in the rows"
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems, error.total)


def _body_problem(error: BadBody) -> Response:
    return _problem(error.status, str(error))


def _http_problem(error: HTTPException) -> Response:
    response = _problem(error.code or 500, error.description or "")
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response
