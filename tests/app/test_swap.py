"""Another version behind the served name: it is loaded beside the old one, replayed, and then swapped in."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.registry import Registry, Version
from pegboard_serve.app import create_app
from pegboard_serve.service import service
from pegboard_serve.settings import Settings

Serve = Callable[..., Any]
House = Callable[..., dict[str, Any]]

SWAPS = 20
REQUESTS = 2_000
LINEAR, FOREST = "house-prices/1", "house-prices/2"


@pytest.fixture
def registry_of_two(two_models: Path, tmp_path: Path) -> Registry:
    return Registry(shutil.copytree(two_models, tmp_path / "registry"))


@pytest.fixture
def location(registry_of_two: Registry, tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def known(location: Path, house_with: House) -> dict[str, str]:
    """The body that each version answers the house of the README with."""
    answers = {}
    for version in (LINEAR, FOREST):
        client = create_app(Settings(model=version, registry=str(location), access_log=False)).test_client()
        answers[version] = client.post("/predict", json=house_with()).get_data(as_text=True)
    return answers


def publish_altered(registry: Registry, scratch: Path, alter: Callable[[dict[str, Any]], None]) -> Version:
    """Publish the forest with another replay, under a manifest that fits."""
    forest: Bundle = registry.open(registry.resolve(FOREST))
    files = {file: forest.read(file) for file in forest.manifest["files"]}
    replay = json.loads(files[bundles.REPLAY])
    alter(replay)
    files[bundles.REPLAY] = json.dumps(replay).encode()
    bundles.write(scratch, forest.manifest, files)
    return registry.publish(scratch)


def wrong_by_a_dollar(replay: dict[str, Any]) -> None:
    replay["predictions"][7] += 1.0


def predicted(served: Any, house: dict[str, Any]) -> tuple[str, str]:
    answer = served.ask("POST", "/predict", json.dumps(house).encode())
    return answer.headers["x-model-version"].partition(";")[0], answer.body.decode()


@pytest.mark.slow
def test_every_answer_during_twenty_swaps_is_of_the_version_that_it_names(
    serve: Serve, load: Any, registry_of_two: Registry, location: Path, house_with: House, known: dict[str, str]
) -> None:
    served = serve("house-prices@live", "--registry", location, "--no-access-log")
    clients = load(served, house_with(), "--clients", 4)
    for swap in range(SWAPS):
        number = 2 - swap % 2
        registry_of_two.promote(f"house-prices/{number}", "live")
        served.send(signal.SIGHUP)
        served.until(lambda number=number: served.ask("GET", "/health").json()["version"] == number)
    served.until(lambda: served.metric("pegboard_request_total", status="200") >= REQUESTS)
    seen = json.loads(clients.communicate()[0])
    assert seen["lost"] == []
    assert seen["statuses"] == {"200": seen["answered"]}
    assert {version: list(bodies) for version, bodies in seen["versions"].items()} == {
        version: [body] for version, body in known.items()
    }
    assert json.loads(known[LINEAR])["predictions"] != json.loads(known[FOREST])["predictions"]
    served.until(lambda: served.metric("pegboard_reload_total", outcome="swapped") == SWAPS)
    assert served.complaints == []


@pytest.mark.parametrize("how", ["damaged", "replayed differently"])
def test_a_version_that_fails_leaves_the_old_one_serving_and_is_told(
    serve: Serve, registry_of_two: Registry, location: Path, tmp_path: Path, house_with: House,
    known: dict[str, str], how: str,
) -> None:  # fmt: skip
    served = serve("house-prices@live", "--registry", location)
    if how == "damaged":
        bad, reason = registry_of_two.resolve(FOREST), "pipeline.joblib is not what the manifest says"
        damaged = registry_of_two.open(bad).directory / bundles.PIPELINE
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    else:
        bad, reason = publish_altered(registry_of_two, tmp_path / "bundle", wrong_by_a_dollar), "predicts differently"
    registry_of_two.promote(str(bad), "live")
    served.send(signal.SIGHUP)
    served.until(lambda: served.metric("pegboard_reload_total", outcome="failed") == 1)
    ready = served.ask("GET", "/ready")
    assert (ready.status, ready.json()["status"], ready.json()["version"]) == (200, "ready", 1)
    assert ready.json()["failed_reload"]["version"] == str(bad)
    assert reason in ready.json()["failed_reload"]["reason"]
    assert predicted(served, house_with()) == (LINEAR, known[LINEAR])
    replays = served.metric("pegboard_replay_failure_total", version=str(bad.number), what="pipeline")
    assert replays == (how == "replayed differently")
    assert served.metric("pegboard_serving", version="1") == 1
    assert served.metric("pegboard_serving", version=str(bad.number)) == 0

    registry_of_two.promote(LINEAR, "live")
    served.send(signal.SIGHUP)
    served.until(lambda: served.metric("pegboard_reload_total", outcome="unchanged") == 1)
    assert served.ask("GET", "/ready").json()["failed_reload"] is None


def test_an_alias_that_is_gone_wrong_leaves_the_old_one_serving(
    serve: Serve, registry_of_two: Registry, location: Path
) -> None:
    served = serve("house-prices@live", "--registry", location)
    (location / "ledger").rename(location / "elsewhere")
    served.send(signal.SIGHUP)
    served.until(lambda: served.ask("GET", "/ready").json()["failed_reload"] is not None)
    ready = served.ask("GET", "/ready")
    assert (ready.status, ready.json()["failed_reload"]["version"]) == (200, "house-prices@live")
    assert "is gone: the ledger was cut off, or moved away" in ready.json()["failed_reload"]["reason"]


def test_polling_finds_a_new_version(
    serve: Serve, registry_of_two: Registry, location: Path, house_with: House, known: dict[str, str]
) -> None:
    served = serve("house-prices@live", "--registry", location, "--poll", 0.1)
    assert predicted(served, house_with()) == (LINEAR, known[LINEAR])
    registry_of_two.promote(FOREST, "live")
    served.until(lambda: served.ask("GET", "/health").json()["version"] == 2)
    assert predicted(served, house_with()) == (FOREST, known[FOREST])


def test_two_reloads_at_once_swap_once(serve: Serve, registry_of_two: Registry, location: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # sha256 of "secret"
    tokens.write_text(f"operator {digest} admin\n")
    served = serve("house-prices@live", "--registry", location, "--tokens", tokens)
    registry_of_two.promote(FOREST, "live")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(served.ask, "POST", "/admin/reload", Authorization="Bearer secret") for _ in range(2)]
    answers = [future.result() for future in asked]
    assert [(answer.status, answer.json()["served"]) for answer in answers] == [(202, FOREST)] * 2
    assert served.metric("pegboard_reload_total", outcome="swapped") == 1
    assert served.metric("pegboard_reload_total", outcome="unchanged") == 1


def test_metrics_name_a_version_when_it_answers_and_its_reload_is_counted(
    registry_of_two: Registry, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings(model="house-prices@live", registry=str(location), access_log=False))
    slot, metrics = service(app).slot, service(app).metrics
    seen: list[tuple[str, bool]] = []
    say = metrics.serving

    def serving(version: Version, compiled: bool) -> None:
        say(version, compiled)
        counted = 'pegboard_reload_total{outcome="swapped"} 1.0' in metrics.exposition().decode()
        seen.append((str(slot.current.version), counted))

    monkeypatch.setattr(metrics, "serving", serving)
    registry_of_two.promote(FOREST, "live")
    assert slot.reload()
    assert seen == [(FOREST, True)]
