"""Published versions in MLflow's registry: each is a model version whose files are a bundle beside an ``MLmodel``."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pegboard.bundle import MANIFEST, SIGNATURES
from pegboard_mlflow.connection import Server, redacted
from pegboard_mlflow.facts import DIGEST, VERSION

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pegboard.registry import Registry, Version

#: Where the model is among a run's artifacts, and the bundle in the model.
MODEL = "model"
BUNDLE = "bundle"


def tags(registry: Registry, version: Version) -> dict[str, str]:
    """Return the tags that say which version of which registry a model version is."""
    place = redacted(str(registry.store))
    return {VERSION: str(version), DIGEST: version.digest, "pegboard.registry": place}


def find(server: Server, name: str, digest: str) -> str | None:
    """Return MLflow's number of the version with that digest, ``None`` if it has none."""
    there = server.client.search_model_versions(f"name = '{name}' and tags.`{DIGEST}` = '{digest}'")
    return min((str(version.version) for version in there), key=int, default=None)


def register(server: Server, registry: Registry, version: Version, run: Run) -> str:
    """Upload a version's files to ``run``, make a model version of them, and return its number in MLflow."""
    with tempfile.TemporaryDirectory() as directory:
        _write(Path(directory), registry, version, run)
        with server.patience():
            server.client.log_artifacts(run.info.run_id, directory, MODEL)
    _ensure_model(server, version.name)
    made = server.client.create_model_version(
        version.name,
        f"{run.info.artifact_uri}/{MODEL}",
        run.info.run_id,
        tags(registry, version),
        description=f"{version} in Pegboard",
        await_creation_for=0,
    )
    return str(made.version)


def add_signatures(server: Server, registry: Registry, name: str, number: str, version: Version) -> None:
    """Upload the signatures that a version got after it was registered."""
    run = str(server.client.get_model_version(name, number).run_id)
    place = f"{MODEL}/{BUNDLE}/{SIGNATURES}"
    signatures = registry.signatures(version)
    there = {Path(file.path).name for file in server.client.list_artifacts(run, place)} if signatures else set()
    with tempfile.TemporaryDirectory() as directory:
        for key in set(signatures) - there:
            file = Path(directory) / key
            file.write_bytes(signatures[key])
            server.client.log_artifact(run, str(file), place)


def _write(directory: Path, registry: Registry, version: Version, run: Run) -> None:
    from mlflow.models import Model

    bundle, place = registry.open(version), directory / BUNDLE
    place.mkdir()
    for file in bundle.manifest["files"]:
        (place / file).write_bytes(bundle.read(file))
    (place / MANIFEST).write_bytes(bundle.manifest_bytes())
    for key, signature in registry.signatures(version).items():
        (place / SIGNATURES).mkdir(exist_ok=True)
        (place / SIGNATURES / key).write_bytes(signature)
    model = Model(artifact_path=MODEL, run_id=run.info.run_id)
    model.add_flavor(
        "python_function",
        loader_module="pegboard_mlflow.pyfunc",
        data=BUNDLE,
        python_version=platform.python_version(),
    )
    model.save(str(directory / "MLmodel"))


def _ensure_model(server: Server, name: str) -> None:
    if not server.client.search_registered_models(f"name = '{name}'"):
        server.client.create_registered_model(name)
