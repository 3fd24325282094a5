"""Versions named by MLflow's URIs: served as the registry's are, and refused where the registry's would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from pegboard import signing
from pegboard.bundle import verify
from pegboard.catalog import Catalog
from pegboard.errors import BundleError, RegistryError
from pegboard.predictor import Predictor
from pegboard.registry import Registry
from pegboard.runs.record import RunRecord
from pegboard.signing import Trust
from pegboard.specs import Versions

Train = Callable[..., RunRecord]
Failing = Callable[..., AbstractContextManager[Any]]
ROWS = [{"area": 80.5, "kind": "flat"}, {"area": 211.0, "kind": "house"}]
NO_NAMES = ["models:/", "models:/a", "models:/a/b", "models:/a/../b", "models:/a/1/2", "models:/A/1"]


@pytest.fixture
def versions(board: Any) -> Callable[..., Versions]:
    """What serving makes of a name that starts with ``models:/``."""

    def make(trusted: Trust | None = None) -> Versions:
        resolver = Catalog(board.manager).resolver("models:/any@alias")
        assert resolver is not None
        return resolver.make("somewhere/else", trusted)

    return make


def test_a_name_in_mlflow_is_the_version_that_the_registry_has(
    mlflow_server: Any, train: Train, promote: Callable[..., None], versions: Callable[..., Versions], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    train(tmp_path / "registry", "resolved", models=("broken",))
    for seed in range(2):
        train(tmp_path / "registry", "resolved", seed=seed)
    promote(registry, "resolved/1", "staging")
    ours, theirs = registry.resolve("resolved/1"), versions().resolve("models:/resolved@staging")
    assert (theirs.name, theirs.number, theirs.digest) == (ours.name, ours.number, ours.digest)
    assert theirs.aliases == ("staging",)
    assert versions().resolve("models:/resolved/1") == theirs
    assert str(versions().resolve("models:/resolved/2")) == "resolved/2"
    bundle = versions().open(theirs)
    verify_all(bundle)
    expected = Predictor.load(registry.open(ours)).predict_records(ROWS).values
    np.testing.assert_array_equal(Predictor.load(bundle).predict_records(ROWS).values, expected)


def verify_all(bundle: Any) -> None:
    for file in bundle.manifest["files"]:
        bundle.read(file)
    verify(bundle)


def test_what_was_asked_once_is_served_while_the_server_is_away(
    mlflow_server: Any, train: Train, versions: Callable[..., Versions], failing: Failing, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    train(tmp_path / "registry", "kept")
    with failing(mlflow_server.uri) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        known = versions().resolve("models:/kept/1")
        verify_all(versions().open(known))
        here = versions()
    for _ in range(2):
        assert here.resolve("models:/kept/1") == known
    verify_all(here.open(known))
    [warning] = [r.getMessage() for r in caplog.records if r.name == "pegboard"]
    assert "going on from what was read before" in warning
    with pytest.raises(RegistryError, match="does not answer"):
        here.resolve("models:/kept@production")


def test_a_tampered_artifact_is_refused(
    mlflow_server: Any, train: Train, versions: Callable[..., Versions], tmp_path: Path
) -> None:
    train(tmp_path / "registry", "tampered")
    [stored] = mlflow_server.versions("tampered")
    place = mlflow_server.files / stored["source"].removeprefix("mlflow-artifacts:/") / "bundle"
    pipeline, manifest = place / "pipeline.joblib", place / "manifest.json"
    whole = pipeline.read_bytes()
    pipeline.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    version = versions().resolve("models:/tampered/1")
    with pytest.raises(BundleError, match=r"pipeline\.joblib .* altered or cut"):
        versions().open(version).pipeline()
    manifest.write_bytes(manifest.read_bytes() + b" ")
    (tmp_path / "cache" / "bundles" / version.digest / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"manifest\.json .* altered or cut"):
        versions().open(version)


def test_only_what_a_trusted_key_has_signed_is_opened(
    mlflow_server: Any, train: Train, promote: Callable[..., None], versions: Callable[..., Versions], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    train(tmp_path / "registry", "signed")
    ours = registry.resolve("signed")
    for who in ("me", "other"):
        signing.generate(tmp_path / f"{who}.key", tmp_path / f"{who}.pub")
    trust, other = Trust.of([tmp_path / "me.pub"]), Trust.of([tmp_path / "other.pub"])
    theirs = versions().resolve("models:/signed/1")
    with pytest.raises(BundleError, match="is not signed"):
        versions(trust).open(theirs)
    registry.sign(ours, *signing.sign(registry.open(ours).manifest_bytes(), tmp_path / "me.key"))
    promote(registry, "signed/1", "staging")
    assert versions(trust).open(theirs).digest == ours.digest
    with pytest.raises(BundleError, match="not trusted here"):
        versions(other).open(theirs)


def test_a_version_that_pegboard_did_not_register_is_refused(
    mlflow_server: Any, versions: Callable[..., Versions]
) -> None:
    mlflow_server.post("registered-models/create", name="foreign")
    mlflow_server.post("model-versions/create", name="foreign", source="s3://bucket/model")
    with pytest.raises(RegistryError, match=r"models:/foreign/1 was not registered by Pegboard"):
        versions().resolve("models:/foreign/1")


@pytest.mark.parametrize(
    "name", ["models:/", "models:/a", "models:/a/b", "models:/a/../b", "models:/a/1/2", "models:/A/1"]
)
def test_what_is_no_name_of_a_version_is_refused(
    mlflow_server: Any, versions: Callable[..., Versions], name: str
) -> None:
    with pytest.raises(RegistryError, match="write models:/name@alias"):
        versions().resolve(name)


def test_a_version_or_an_alias_that_is_not_there_is_named(
    mlflow_server: Any, versions: Callable[..., Versions]
) -> None:
    for name in ("models:/nowhere/1", "models:/nowhere@production"):
        with pytest.raises(RegistryError, match=r"refused: .*nowhere"):
            versions().resolve(name)


def test_a_name_without_a_server_says_which_variable_to_set(
    versions: Callable[..., Versions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(RegistryError, match="set MLFLOW_TRACKING_URI"):
        versions().resolve("models:/any/1")


def test_mlflow_loads_the_version_itself(mlflow_server: Any, train: Train, tmp_path: Path) -> None:
    import mlflow

    train(tmp_path / "registry", "loaded")
    registry, frame = Registry(tmp_path / "registry"), pd.DataFrame(ROWS)
    model = mlflow.pyfunc.load_model("models:/loaded/1")
    expected = Predictor.load(registry.open(registry.resolve("loaded"))).predict(frame).values
    np.testing.assert_array_equal(model.predict(frame), expected)


@pytest.mark.slow
def test_a_served_uri_answers_as_the_registrys_version_does(
    mlflow_server: Any, train: Train, promote: Callable[..., None], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    run = train(tmp_path / "registry", "served")
    promote(registry, "served/1", "production")
    command = [sys.executable, "-m", "pegboard", "serve", "models:/served@production", "--port", "0"]
    environ = {**os.environ, "PEGBOARD_LOAD_PLUGINS": "mlflow,serve"}
    (tmp_path / "elsewhere").mkdir()
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            command, cwd=tmp_path / "elsewhere", env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert " on http://" in said, (tmp_path / "errors").read_text()
            address = said.partition(" on ")[2].split()[0]
            answer = requests.post(f"{address}/predict", json=ROWS, timeout=60)
        finally:
            process.terminate()
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == f"served/1; sha256={run.digest}"
    expected = Predictor.load(registry.open(registry.resolve("served"))).predict_records(ROWS)
    assert json.loads(answer.text)["predictions"] == expected.to_dict()["predictions"]
