"""The gate: every rule is asked, what it found is on the record, and the rules that train nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pegboard import RuleSpec, SourceSpec, hookimpl
from pegboard import bundle as bundles
from pegboard.catalog import Catalog
from pegboard.config import load_environment
from pegboard.environments import RULES, Environment, Gate
from pegboard.errors import ConfigError
from pegboard.gate.rule import Finding, GateReport, Outcome, Promotion
from pegboard.gate.run import GateRefused, Listener, run_gate
from pegboard.manager import Plugin, load_plugins
from pegboard.registry import Registry, Version
from pegboard.signing import generate

ROOT = Path(__file__).parents[2]
Published = tuple[Registry, Version]


def table() -> pd.DataFrame:
    x = np.arange(60.0)
    return pd.DataFrame({"x": x, "y": 3 * x + np.sin(x)})


@pytest.fixture(scope="module")
def first(train_into: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version whose training data broke two expectations that only warn."""
    root = tmp_path_factory.mktemp("gate") / "registry"
    low = {"type": "expect_column_max_to_be_between", "severity": "warning"}
    expectations = [{**low, "kwargs": {"column": name, "max_value": 1}} for name in ("x", "y")]
    source = SourceSpec(name="lines", task="regression", target="y", load=table, expectations=expectations)
    train_into(root, {"lines": ["linear-regression"]}, source)
    return Registry(root), Registry(root).resolve("lines")


@pytest.fixture
def remade(first: Published, tmp_path: Path) -> Callable[..., Published]:
    """Publish the version's bundle with other words in its manifest, or with other files."""

    def make(files: Mapping[str, bytes] | None = None, **manifest: Any) -> Published:
        bundle, registry = first[0].open(first[1]), Registry(tmp_path / "remade")
        kept = {name: bundle.read(name) for name in bundle.manifest["files"]}
        said = {name: value for name, value in bundle.manifest.items() if name not in ("files", "format")}
        bundles.write(tmp_path / "bundle", {**said, **manifest}, {**kept, **(files or {})})
        return registry, registry.publish(tmp_path / "bundle")

    return make


def ask(
    published: Published, *rules: RuleSpec | str, listener: Listener | None = None, board: Catalog | None = None,
    environment: Mapping[str, Any] | None = None, previous: Environment | None = None, **gate: Any,
) -> GateReport:  # fmt: skip
    """Ask rules that are registered, or given here, about a version."""
    registry, version = published
    given = [rule for rule in rules if isinstance(rule, RuleSpec)]
    if board is None:
        manager = load_plugins()
        hook = hookimpl(specname="register_rules")(lambda: given)
        manager.add(SimpleNamespace(register_rules=hook), Plugin("rules", "rules", "1"))
        board = Catalog(manager)
    names = tuple(rule if isinstance(rule, str) else rule.name for rule in rules)
    settings = {"name": "staging", "registry": str(registry.store), "alias": "staging", **(environment or {})}
    return run_gate(
        Promotion(
            registry=registry,
            version=version,
            bundle=registry.open(version),
            champion=None,
            environment=Environment(gate=Gate(rules=names, **gate), **settings),
            catalog=board,
            previous=previous,
        ),
        listener,
    )


def only(report: GateReport) -> Finding:
    (finding,) = report.findings
    return finding


def rule(name: str, check: Callable[[Promotion], Any]) -> RuleSpec:
    return RuleSpec(name=name, check=check)


def fail(error: BaseException) -> Callable[[Promotion], Any]:
    def check(_: Promotion) -> Any:
        raise error

    return check


def test_every_rule_of_the_default_gate_is_registered(catalog: Catalog) -> None:
    assert set(RULES) == set(catalog.names(RuleSpec))
    assert Gate().rules == RULES


def test_whatever_a_rule_does_the_others_are_asked_in_order_and_the_listener_is_told(first: Published) -> None:
    told: list[Any] = []

    class Told(Listener):
        def begins(self, rule: str, number: int, total: int) -> None:
            told.append((rule, number, total))

        def ends(self, finding: Finding) -> None:
            told.append(finding.passed)

    report = ask(
        first,
        rule("broken", fail(ZeroDivisionError("by nothing"))),
        rule("leaving", fail(SystemExit("bye"))),
        rule("refusing", fail(ConfigError("set it right"))),
        rule("vague", lambda _: True),
        rule("unwritable", lambda _: Outcome(True, "fine", figures={"score": float("nan")})),
        rule("content", lambda _: Outcome(True, "fine", "anything", {"score": 1.5})),
        listener=Told(),
    )
    assert [finding.found.removesuffix(": nan") for finding in report.findings] == [
        "the rule failed: ZeroDivisionError: by nothing",
        "the rule failed: SystemExit: bye",
        "set it right",
        "the rule gave a bool, not an Outcome",
        "the rule gave what is no plain JSON: Out of range float values are not JSON compliant",
        "fine",
    ]
    assert report.findings[-1] == Finding("content", True, "fine", "anything", {"score": 1.5})
    assert told[:2] == [("broken", 1, 6), False]
    assert told[-2:] == [("content", 6, 6), True]
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["passed"] is report.passed is False


def test_a_refusal_names_each_rule_that_does_not_hold_by_how_much_and_what_to_do(first: Published) -> None:
    heavy, bad = Outcome(False, "600 MiB", "at most 512 MiB"), Outcome(False, "no")
    report = ask(first, rule("weight", lambda _: heavy), rule("fine", lambda _: Outcome(True, "yes")),
                 rule("odd", lambda _: bad))  # fmt: skip
    assert str(GateRefused(report)).splitlines() == [
        "lines/1 is not promoted to staging: 2 of 3 rules do not hold:",
        "  weight: 600 MiB (allowed: at most 512 MiB)",
        "  odd: no",
        "train a better version, or compare on newer labelled rows (--data FILE); "
        "--force --reason TEXT promotes all the same, and is on the record",
    ]


def test_a_rule_that_nobody_has_registered_is_an_error_before_any_is_asked(first: Published) -> None:
    asked: list[Promotion] = []
    with pytest.raises(ConfigError, match=r"\[environments.staging.gate\]: no rule is called 'chamption'.*'champion'"):
        ask(first, rule("spy", asked.append), "chamption")
    assert asked == []


def test_the_serving_rule_without_its_distribution_says_what_to_install(first: Published) -> None:
    bare = Catalog(load_plugins(environ={"PEGBOARD_LOAD_PLUGINS": ""}))
    finding = only(ask(first, "serving", board=bare))
    assert (finding.passed, finding.found.endswith("pip install pegboard-serve")) == (False, True)


def test_order_asks_whether_this_bundle_has_been_in_the_environment_before(
    first: Published, remade: Callable[..., Published]
) -> None:
    production = {"name": "production", "alias": "production", "after": "staging"}
    registry, version = remade(model="linear-regression", python="3.11.0")
    staging = Environment(name="staging", registry=str(first[0].store), alias="trial")
    refused = only(ask((registry, version), "order", environment=production, previous=staging))
    assert not refused.passed
    assert refused.found == "has never been lines@trial: promote it --to staging first"
    first[0].promote("lines/1", "trial")
    assert not ask((registry, version), "order", environment=production, previous=staging).passed, "another bundle"
    passed = only(ask(first, "order", environment=production, previous=staging))
    assert (passed.passed, passed.found) == (True, "has been lines@trial as lines/1")
    assert not ask(first, "order", environment=production).passed, "it is not known where staging is"
    assert ask(first, "order").passed, "nothing comes before"


def test_order_knows_a_bundle_under_another_number_in_another_registry(first: Published, tmp_path: Path) -> None:
    other = Registry(tmp_path / "other")
    elsewhere = other.take(first[0].open(first[1]), {})
    other.promote(str(elsewhere), "staging")
    staging = Environment(name="staging", registry=str(other.store), alias="staging")
    assert ask(first, "order", environment={"after": "staging"}, previous=staging).passed


def test_digests_finds_an_altered_file_and_a_missing_signature(
    remade: Callable[..., Published], tmp_path: Path
) -> None:
    registry, version = remade()
    assert only(ask((registry, version), "digests")).found.startswith("3 files are as published, sha256:")
    generate(tmp_path / "private.pem", tmp_path / "public.pem")
    unsigned = only(ask((registry, version), "digests", environment={"trusted_keys": (str(tmp_path / "public.pem"),)}))
    assert not unsigned.passed
    assert "sign" in unsigned.found
    path = tmp_path / "remade" / version.prefix / bundles.REPLAY
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert "replay.json is not what the manifest says" in only(ask((registry, version), "digests")).found


def test_validation_counts_warnings_and_takes_nothing_critical(
    first: Published, remade: Callable[..., Published]
) -> None:
    assert ask(first, "validation", max_warnings=2).passed
    refused = only(ask(first, "validation", max_warnings=1))
    assert not refused.passed
    assert re.fullmatch(
        r"2 of \d+ expectations do not hold, 0 of them critical: "
        r"expect_column_max_to_be_between on 'x', expect_column_max_to_be_between on 'y'",
        refused.found,
    )
    report = json.loads(first[0].open(first[1]).read(bundles.VALIDATION))
    report["findings"][0] |= {"success": False, "severity": "critical"}
    critical = only(ask(remade({bundles.VALIDATION: json.dumps(report).encode()}), "validation"))
    assert (critical.passed, critical.limit) == (False, "none critical, at most 10 others")
    assert "1 of them critical: expect_column_max_to_be_between on 'x'" in critical.found


def requiring(published: Published, name: str, version: str, kind: str = "classes") -> dict[str, Any]:
    """Return a version's requirements, changed by one."""
    said: dict[str, Any] = published[0].open(published[1]).requirements.to_dict()
    others = [requirement for requirement in said["direct"] if requirement["name"] != name]
    return {**said, "direct": [*others, {"name": name, "version": version, "kind": kind, "for": ["some.Class"]}]}


def test_plugins_takes_a_newer_version_of_what_reads_older_files(
    first: Published, remade: Callable[..., Published]
) -> None:
    finding = only(ask(remade(requirements=requiring(first, "joblib", "0.1")), "plugins"))
    assert finding.passed
    assert "joblib==0.1" in finding.figures["needed"]


def test_plugins_says_when_a_kernel_is_missing_and_passes(first: Published, remade: Callable[..., Published]) -> None:
    finding = only(ask(remade(requirements=requiring(first, "gone", "2", "kernel")), "plugins"))
    assert finding.passed
    assert "answers slower without some.Class: needs gone 2 or newer, which is not installed" in finding.found


@pytest.mark.parametrize(
    ("lacking", "problem"),
    [
        (("gone", "2"), "pip install gone==2"),
        (("scikit-learn", "1.4.0"), "needs scikit-learn 1.4.0, and "),
        (("pegboard-broken", "1", "policy"), "cannot be imported: RuntimeError: oh"),
    ],
)
def test_plugins_refuses_what_cannot_be_loaded_here(
    first: Published, remade: Callable[..., Published], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    lacking: tuple[str, ...], problem: str,
) -> None:  # fmt: skip
    information = tmp_path / "site" / "pegboard_broken-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pegboard-broken\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[pegboard]\nbroken = broken_plugin\n")
    (tmp_path / "site" / "broken_plugin.py").write_text("raise RuntimeError('oh')\n")
    published = remade(requirements=requiring(first, *lacking))
    board = Catalog(load_plugins())
    monkeypatch.syspath_prepend(tmp_path / "site")
    finding = only(ask(published, "plugins", board=board))
    assert not finding.passed
    assert problem in finding.found


def test_size_weighs_the_whole_bundle(first: Published) -> None:
    files = [path for path in (Path(str(first[0].store)) / first[1].prefix).rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    assert only(ask(first, "size", max_size_mib=total / 2**20)).figures == {"bytes": total}
    assert ask(first, "size", max_size_mib=total / 2**20).passed
    assert not ask(first, "size", max_size_mib=(total - 1) / 2**20).passed


@pytest.mark.parametrize("wrong", [{"min_rows": 1}, {"resamples": 99}, {"confidence": 1.0}, {"require": "same"}])
def test_limits_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Gate(**wrong)


def test_the_documentation_has_every_limit_with_its_default(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "promotion.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)
    assert rows == [*RULES, *(field.name for field in fields(Gate))]
    file = tmp_path / "pegboard.toml"
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file.write_text(block, encoding="utf-8")
    assert load_environment("staging", file, {}).gate == Gate()
    strict = load_environment("production", file, {})
    assert strict.gate == replace(Gate(), require="better", max_latency_ms=20.0, max_warnings=0)
