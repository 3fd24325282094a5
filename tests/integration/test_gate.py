"""Promotion as an operator has it: the gate's answer on the terminal, in the ledger, and at the exit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pegboard.catalog import Catalog
from pegboard.config import Experiment
from pegboard.environments import Environment, Gate
from pegboard.gate.rule import Finding, Promotion
from pegboard.gate.run import run_gate
from pegboard.ledger import Entry
from pegboard.manager import Manager
from pegboard.registry import Registry
from pegboard.training import pipeline
from pegboard_serve import gate as serving_gate
from pegboard_serve import gate_server
from pegboard_serve.app import create_app
from pegboard_serve.gate_exchanges import Stored, exchanges
from pegboard_serve.settings import Settings

#: The rules but for the one that starts a server, which has its own tests below.
QUICK = ["order", "digests", "validation", "plugins", "size", "baseline", "champion"]
CONFIG = f"""
[experiment]
source = "house-prices"

[environments.staging.gate]
rules = {QUICK}
resamples = 100

[environments.production.gate]
rules = {QUICK}
resamples = 100
"""

Command = Callable[..., Any]


@pytest.fixture(scope="session")
def two_versions(
    manager: Manager, catalog: Catalog, train_into: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A registry with a forest as house-prices/1, a straight line as house-prices/2, and a model of iris."""
    location = tmp_path_factory.mktemp("two") / "registry"
    for model in ("random-forest-regressor", "linear-regression"):
        settings: dict[str, Any] = {"name": "house-prices", "source": "house-prices", "folds": 2}
        pipeline.run(Experiment(models=(model,), registry=str(location), **settings), manager, catalog)
    train_into(location, {"iris": ["logistic-regression"]})
    return location


@pytest.fixture
def operator(two_versions: Path, pegboard: Command, tmp_path: Path) -> Command:
    """Run ``pegboard models`` where both versions are."""
    shutil.copytree(two_versions, tmp_path / "registry")
    (tmp_path / "pegboard.toml").write_text(CONFIG, encoding="utf-8")
    return lambda *arguments, status=0: pegboard("models", *arguments, status=status)


def promoted(directory: Path) -> list[Entry]:
    entries = Registry(directory / "registry").ledger.entries()
    return [entry for entry in entries if entry.action == "promoted"]


def aliases(directory: Path) -> dict[str, int]:
    state = Registry(directory / "registry").ledger.state()
    return {alias: number for (name, alias), number in state.aliases.items() if name == "house-prices"}


def test_from_staging_to_production_to_a_challenger_that_is_refused_and_forced(
    operator: Command, tmp_path: Path
) -> None:
    early = operator("promote", "house-prices/1", "--to", "production", status=1)
    assert "order: has never been house-prices@staging: promote it --to staging first" in early.stderr
    assert promoted(tmp_path) == []

    operator("promote", "house-prices/1", "--to", "staging")
    done = operator("promote", "house-prices/1", "--to", "production", "--reason", "the first")
    assert "house-prices@production is house-prices/1, the champion" in done.stdout
    assert aliases(tmp_path) == {"staging": 1, "production": 1, "champion": 1}
    last = promoted(tmp_path)[-1]
    assert (last.environment, last.reason, last.gate["passed"]) == ("production", "the first", True)
    assert [finding["rule"] for finding in last.gate["findings"]] == QUICK

    refused = operator("promote", "house-prices/2", "--to", "staging", status=1)
    assert "house-prices/2 is not promoted to staging: 1 of 7 rules does not hold:" in refused.stderr
    assert "champion: rmse " in refused.stderr
    assert " of house-prices/1 on " in refused.stderr
    assert " worse (95 %: " in refused.stderr
    assert len(promoted(tmp_path)) == 2, "a refusal changes nothing"

    silent = operator("promote", "house-prices/2", "--to", "production", "--force", status=2)
    assert "--force needs --reason" in silent.stderr
    forced = ("promote", "house-prices/2", "--to", "production", "--force", "--reason", "the forest is on fire")
    operator(*forced)
    last = promoted(tmp_path)[-1]
    assert (last.reason, last.gate["passed"], last.gate["forced"]) == ("the forest is on fire", False, True)
    failed = [finding["rule"] for finding in last.gate["findings"] if not finding["passed"]]
    assert failed == ["order", "champion"]
    assert aliases(tmp_path) == {"staging": 1, "production": 2, "champion": 1}


def test_a_dry_run_says_what_the_gate_finds_and_changes_nothing(operator: Command, tmp_path: Path) -> None:
    told = json.loads(operator("promote", "house-prices/1", "--to", "staging", "--dry-run", "--json").stdout)
    assert (told["promoted"], told["gate"]["passed"]) == (False, True)
    assert promoted(tmp_path) == []


@pytest.mark.parametrize(("limit", "status"), [("max_size_mib = 512", 0), ("max_size_mib = 0.001", 1)])
def test_a_build_of_an_image_goes_on_only_if_the_gate_of_the_environment_image_passes(
    operator: Command, tmp_path: Path, limit: str, status: int
) -> None:
    # The repository's own file: what the Dockerfile trains with, and the command that it runs.
    config = (Path(__file__).parents[2] / "pegboard.toml").read_text(encoding="utf-8")
    table = "[environments.image.gate]\n"
    assert config.count(table) == 1
    config = config.replace(table, f"{table}{limit}\nmax_latency_ms = 60000.0\n")
    (tmp_path / "build.toml").write_text(config, encoding="utf-8")
    done = operator("promote", "house-prices/1", "--to", "image", "--dry-run", "--config", "build.toml", status=status)
    rules = ["digests", "validation", "plugins", "size", "baseline", "serving"]
    assert [line.split()[1] for line in done.stdout.splitlines() if line.strip()[:1] in ("✓", "✗")] == rules
    assert ("house-prices/1 is not promoted to image: 1 of 6 rules does not hold:" in done.stderr) == bool(status)
    assert promoted(tmp_path) == []


def ask_serving(location: Path, reference: str, catalog: Catalog, **gate: Any) -> Finding:
    registry = Registry(location)
    version = registry.resolve(reference)
    limits = Gate(rules=("serving",), **gate)
    environment = Environment(name="staging", registry=str(location), alias="staging", gate=limits)
    promotion = Promotion(
        registry=registry, version=version, bundle=registry.open(version), champion=None,
        environment=environment, catalog=catalog,
    )  # fmt: skip
    return run_gate(promotion).findings[0]


@pytest.mark.parametrize(("reference", "rows"), [("house-prices/2", 64), ("iris", 64)])
def test_stored_rows_are_replayed_over_http_in_every_protocol(
    two_versions: Path, catalog: Catalog, reference: str, rows: int
) -> None:
    found = ask_serving(two_versions, reference, catalog, max_latency_ms=60_000.0)
    assert found.passed, found.found
    forms = "/invocations in 5 forms, /predict, /v2/infer"
    assert found.found.startswith(f"{rows} rows answered as stored, one by one and together, by {forms}; ")
    assert found.figures["requests"] == (rows + 1) * 7
    assert found.figures["latency_ms"] > 0
    assert found.figures["memory_bytes"] > 10 * 2**20


def test_a_server_that_is_too_slow_and_too_large_is_refused(two_versions: Path, catalog: Catalog) -> None:
    found = ask_serving(two_versions, "iris", catalog, max_latency_ms=0.001, max_memory_mib=1.0)
    assert not found.passed
    assert found.limit == "the stored answers to 1e-9; at most 0.001 ms and 1 MiB"


def test_an_answer_that_is_another_than_the_stored_one_is_named_with_form_and_row(
    two_versions: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Stored.of

    def other(bundle: Any) -> Stored:
        stored = read(bundle)
        return replace(stored, rows=stored.rows[:2], values=[stored.values[0], stored.values[1] * (1 + 1e-8)])

    monkeypatch.setattr(serving_gate.Stored, "of", other)
    found = ask_serving(two_versions, "house-prices/2", catalog)
    assert not found.passed
    assert found.found.startswith("14 of 21 requests: /predict, 2 rows: row 1: ")
    assert found.found.endswith("; and 11 more")


def test_a_server_that_does_not_start_is_quoted(two_versions: Path, catalog: Catalog, tmp_path: Path) -> None:
    location = tmp_path / "registry"
    shutil.copytree(two_versions, location)
    version = Registry(location).resolve("iris")
    path = location / version.prefix / "pipeline.joblib"
    path.write_bytes(path.read_bytes()[:-1])
    found = ask_serving(location, "iris", catalog)
    assert not found.passed
    assert found.found.startswith("`pegboard serve` does not start: error: ")
    assert "pipeline.joblib is not what the manifest says" in found.found


def test_a_server_that_says_nothing_is_given_up(
    two_versions: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_server, "START", 0.01)
    assert "it says nothing within" in ask_serving(two_versions, "iris", catalog).found


def test_variables_that_would_serve_otherwise_are_kept_from_the_server(
    two_versions: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SERVE_TOKENS": "/nowhere", "ENV": "production", "MODEL": "other/7"}.items():
        monkeypatch.setenv(f"PEGBOARD_{name}", value)
    assert ask_serving(two_versions, "iris", catalog, max_latency_ms=60_000.0).passed


def test_every_route_that_predicts_is_asked(two_versions: Path) -> None:
    app = create_app(Settings(model="iris", registry=str(two_versions)))
    posted = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    registry = Registry(two_versions)
    stored = Stored.of(registry.open(registry.resolve("iris")))
    asked = {one.path.replace("/models/iris/", "/models/<name>/") for one in exchanges(stored, "iris")}
    assert asked <= posted
    assert posted - asked <= {"/v2/models/<name>/versions/<version>/infer", "/admin/reload"}
