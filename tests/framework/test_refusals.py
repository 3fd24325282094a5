"""Bundles that must not be trusted: refused by the registry, by batch scoring and by the server; none runs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.base import BaseEstimator

from pegboard.bundle import MANIFEST, PIPELINE
from pegboard.errors import BundleError
from pegboard.registry import Registry
from pegboard.signing import SignatureRefused, Trust, generate, sign
from pegboard.unpickling import UnpicklingRefused

VERSION = "iris/1"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, train_into: Callable[..., None]) -> Path:
    """A folder with a registry that holds ``iris/1``, signed, and the keys ``ours`` and ``theirs``."""
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder / "registry", {"iris": ["logistic-regression"]})
    for name in ("ours", "theirs"):
        generate(folder / f"{name}.key", folder / f"{name}.pub")
    sign_with(folder, "ours")
    (folder / "rows.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n"
    )
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def sign_with(folder: Path, key: str) -> None:
    registry = Registry(folder / "registry")
    version = registry.resolve(VERSION)
    registry.sign(version, *sign(registry.open(version).manifest_bytes(), folder / f"{key}.key"))


def prefix(folder: Path) -> Path:
    return folder / "registry" / Registry(folder / "registry").resolve(VERSION).prefix


def opened(folder: Path, *trusted: str) -> Any:
    """Do what every reader does: open the version, and unpickle its pipeline."""
    registry = Registry(
        folder / "registry", Trust.of([folder / f"{name}.pub" for name in trusted]) if trusted else None
    )
    bundle = registry.open(registry.resolve(VERSION))
    return bundle.pipeline()


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the manifest and write a ledger that says so: what somebody who can write to the store can do."""
    place = prefix(folder)
    manifest = {**json.loads((place / MANIFEST).read_text()), **changes}
    pipeline = (place / PIPELINE).read_bytes()
    manifest["files"][PIPELINE] = {"size": len(pipeline), "sha256": hashlib.sha256(pipeline).hexdigest()}
    (place / MANIFEST).write_text(json.dumps(manifest))
    entry = folder / "registry" / "ledger" / "00000001.json"
    said = json.loads(entry.read_text())
    said["bundle"] = hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest()
    entry.write_text(json.dumps(said))


def command(folder: Path, *arguments: str) -> str:
    """Run ``pegboard``, which must refuse, and return what it says."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    done = subprocess.run(
        [sys.executable, "-m", "pegboard", *arguments, "--registry", str(folder / "registry")],
        cwd=folder,
        env=ours,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def served(folder: Path, *arguments: str) -> str:
    return command(folder, "serve", VERSION, "--port", "0", *arguments)


def scored(folder: Path) -> str:
    message = command(folder, "predict", "rows.csv", "out.csv", "--model", VERSION)
    assert not (folder / "out.csv").exists()
    return message


class Canary(BaseEstimator):
    """An estimator that passes for one inside a pipeline, until it is unpickled."""

    def __init__(self, call: tuple[Any, ...] = ()) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


CANARIES: dict[str, Callable[[str], tuple[Any, ...]]] = {
    "os.system": lambda path: (os.system, (f"touch '{path}'",)),
    "subprocess.Popen": lambda path: (subprocess.Popen, (["touch", path],)),
    "builtins.exec": lambda path: (exec, (f"open({path!r}, 'w').close()",)),
}


def poison(folder: Path, kind: str, sign: Path, wrap: bool = True) -> None:
    """Put a call into the pipeline's pickle, inside the pipeline that works or in its place."""
    call = Canary(CANARIES[kind](str(sign)))
    path = prefix(folder) / PIPELINE
    pipeline: Any = call
    if wrap:
        pipeline = joblib.load(path)
        pipeline.steps.insert(0, ("first", call))
    joblib.dump(pipeline, path)


def test_the_controls_hold_a_good_bundle_opens_and_serves(
    folder: Path, serving: Callable[..., Any], tmp_path: Path
) -> None:
    assert opened(folder, "ours").steps
    with serving(folder / "registry", tmp_path, VERSION, "--trusted-key", str(folder / "ours.pub")) as address:
        assert address.startswith("http://")


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_byte_changed_in_any_file_is_refused(folder: Path, place: str) -> None:
    files = sorted(path for path in prefix(folder).iterdir() if path.is_file())
    assert {MANIFEST, PIPELINE} < {path.name for path in files}
    for path in files:
        good = path.read_bytes()
        position = {"first": 0, "middle": len(good) // 2, "last": len(good) - 1}[place]
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        registry = Registry(folder / "registry", Trust.of([folder / "ours.pub"]))

        with pytest.raises(BundleError, match="altered"):
            registry.verify(registry.resolve(VERSION))

        path.write_bytes(good)
    registry.verify(registry.resolve(VERSION))


def test_a_changed_pipeline_is_neither_served_nor_scored(folder: Path) -> None:
    path = prefix(folder) / PIPELINE
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert f"{PIPELINE} is not what the manifest says" in served(folder)
    assert f"{PIPELINE} is not what the manifest says" in scored(folder)


@pytest.mark.parametrize("state", ["unsigned", "the wrong key", "a signature of something else"])
def test_what_no_trusted_key_has_signed_is_refused_before_anything_is_unpickled(folder: Path, state: str) -> None:
    (found,) = (prefix(folder) / "signatures").iterdir()
    if state == "a signature of something else":
        found.write_bytes(sign(b"something else", folder / "ours.key")[1])
    else:
        found.unlink()
    if state == "the wrong key":
        sign_with(folder, "theirs")
    canary = folder / "ran"
    poison(folder, "os.system", canary)
    said = {
        "unsigned": "is not signed",
        "the wrong key": "which is not trusted here",
        "a signature of something else": "does not fit the manifest",
    }[state]

    with pytest.raises(SignatureRefused, match=said):
        opened(folder, "ours")
    assert said in served(folder, "--trusted-key", "ours.pub")

    assert not canary.exists()


def test_another_scikit_learn_is_refused_by_name(folder: Path) -> None:
    required = json.loads((prefix(folder) / MANIFEST).read_text())["requirements"]
    for requirement in required["direct"]:
        if requirement["name"] == "scikit-learn":
            requirement["version"] = "1.4.0"
    rewrite(folder, requirements=required)

    with pytest.raises(BundleError, match=r"needs scikit-learn 1\.4\.0, and .*: pip install scikit-learn==1\.4\.0"):
        opened(folder)
    assert "needs scikit-learn 1.4.0, and" in served(folder)
    assert "needs scikit-learn 1.4.0, and" in scored(folder)


@pytest.mark.parametrize("wrap", [True, False], ids=["inside a pipeline", "alone"])
@pytest.mark.parametrize("kind", CANARIES)
def test_a_malicious_pickle_is_refused_at_every_line_of_defence(folder: Path, kind: str, wrap: bool) -> None:
    """The digest stops it; with manifest and ledger made right, the signature; without signatures, the policy."""
    canary = folder / "ran"
    poison(folder, kind, canary, wrap)

    with pytest.raises(BundleError, match="is not what the manifest says"):
        opened(folder)
    rewrite(folder)
    with pytest.raises(SignatureRefused, match="does not fit the manifest"):
        opened(folder, "ours")
    with pytest.raises(UnpicklingRefused, match="may not be unpickled"):
        opened(folder)
    assert not canary.exists()

    ran = joblib.load(prefix(folder) / PIPELINE)
    if isinstance(ran, subprocess.Popen):
        ran.wait()
    elif kind == "subprocess.Popen":
        ran.steps[0][1].wait()
    assert canary.exists(), "this canary could not have sung"


def test_a_malicious_pickle_is_neither_served_nor_scored(folder: Path) -> None:
    canary = folder / "ran"
    poison(folder, "os.system", canary)
    rewrite(folder)

    assert "'posix.system' may not be unpickled" in served(folder)
    assert "'posix.system' may not be unpickled" in scored(folder)
    assert not canary.exists()


def test_the_canary_is_a_pickle_like_any_other(tmp_path: Path) -> None:
    """Plain pickle runs it too, so nothing but the policy is between it and the machine."""
    pickle.loads(pickle.dumps(Canary(CANARIES["builtins.exec"](str(tmp_path / "ran")))))
    assert (tmp_path / "ran").exists()
