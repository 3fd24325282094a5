"""The routes of whoever runs the server: is it alive, is it ready, what serves, what was counted, look again."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request

from pegboard_serve.metrics import CONTENT_TYPE
from pegboard_serve.service import service

blueprint = Blueprint("operations", __name__)


@blueprint.get("/health")
def health() -> dict[str, Any]:
    """Say that the process answers, and with which version: restart it if this fails."""
    version = g.model.version
    return {"status": "ok", "model": version.name, "version": version.number, "digest": version.digest}


@blueprint.get("/ready")
def ready() -> tuple[dict[str, Any], HTTPStatus]:
    """Say whether requests should be sent here. A failed reload is told, and the old version stays ready."""
    this, version = service(), g.model.version
    details = {"model": version.name, "version": version.number, "digest": version.digest}
    failed = this.slot.failure  # read once: a reload may clear it meanwhile
    failure = failed and asdict(failed)
    if this.draining:
        return {"status": "draining", **details, "failed_reload": failure}, HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": "ready", **details, "failed_reload": failure}, HTTPStatus.OK


@blueprint.get("/model")
def model() -> dict[str, Any]:
    """Return what serves: version, signature, metrics, where it comes from, and whether it is compiled."""
    loaded, manifest = g.model, g.model.bundle.manifest
    version = loaded.version
    return {
        "name": version.name,
        "version": version.number,
        "digest": version.digest,
        "aliases": list(version.aliases),
        "published_at": version.published_at,
        "model": manifest["model"],
        "compiled": loaded.predictor.compiled,
        "predictor": loaded.predictor.note,
        "signature": manifest["signature"],
        "metrics": manifest["metrics"],
        "leaderboard": manifest["leaderboard"],
        "provenance": {key: manifest.get(key) for key in _PROVENANCE},
    }


_PROVENANCE = ("created_at", "data", "experiment", "plugins", "libraries", "python", "git")


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the counts of all processes as Prometheus reads them."""
    return Response(service().metrics.exposition(), content_type=CONTENT_TYPE)


@blueprint.post("/admin/reload")
def reload() -> tuple[dict[str, Any], HTTPStatus]:
    """Look for another version behind the served name; needs an admin's token. ``/ready`` tells how it went."""
    this = service()
    this.tokens.check(request.headers.get("Authorization", ""), admin=True)
    this.reload()
    return {"status": "asked", "served": str(this.slot.current.version)}, HTTPStatus.ACCEPTED
