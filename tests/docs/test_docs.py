"""What the documentation says is so."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pegboard import hookspecs
from pegboard.catalog import Catalog
from pegboard.config import load_experiment
from pegboard.manager import Manager
from pegboard.specs import ModelSpec, ScorerSpec

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("*/README.md"),
    *ROOT.glob("plugins/*/README.md"),
]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
HOOKS = [node for node in ast.parse(Path(hookspecs.__file__).read_text()).body if isinstance(node, ast.FunctionDef)]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("hook", HOOKS, ids=lambda h: h.name)
def test_every_hook_is_documented_with_its_exact_signature_and_has_a_test(hook: ast.FunctionDef) -> None:
    assert f"```python\n{ast.unparse(hook).splitlines()[1].removesuffix(':')}\n```" in text("docs/hooks.md")
    assert ast.get_docstring(hook)
    assert re.search(rf"\b{hook.name}\b", TESTS), f"no test names {hook.name}"


def test_the_settings_in_the_readme_are_all_there_are(tmp_path: Path) -> None:
    block = re.findall(r"```toml\n(.*?)```", text("README.md"), re.DOTALL)[0]
    file = tmp_path / "pegboard.toml"
    file.write_text(block, encoding="utf-8")
    written = load_experiment(file, environ={})
    assert written == load_experiment(file, {"source": "house-prices"}, environ={})
    settings = set(tomllib.loads(block)["experiment"])
    assert settings == {f.name for f in _settings()}
    defaults = load_experiment(ROOT / "pegboard.toml", environ={})
    for name in settings - {"models", "scorer"}:
        assert getattr(written, name) == getattr(defaults, name)


def _settings() -> list[object]:
    from dataclasses import fields

    from pegboard.config import Experiment

    return [f for f in fields(Experiment) if f.name not in ("source_options", "model_params")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        # The pages of GitHub beside the files: a badge, and what it stands for.
        if workflow := re.fullmatch(r"\.\./\.\./actions/workflows/([a-z]+\.yml)(/badge\.svg\?\w+=\w+)?", target):
            assert (ROOT / ".github" / "workflows" / workflow[1]).exists(), f"{page.name} links to {target}"
        elif not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_plugin_readme_lists_what_is_registered(manager: Manager, catalog: Catalog) -> None:
    readme = text("plugins/pegboard-sklearn/README.md")
    for entry in Catalog(manager).entries():
        if entry.plugin.name == "sklearn" and isinstance(entry.spec, ModelSpec | ScorerSpec):
            assert f"`{entry.spec.name}`" in readme


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)[ `]", page.read_text(encoding="utf-8"))}
    assert named <= targets


def test_all_distributions_have_one_version_and_the_changelog_knows_it() -> None:
    configs = [ROOT / "setup.cfg", ROOT / "app" / "setup.cfg", *ROOT.glob("plugins/*/setup.cfg")]
    versions = {re.findall(r"^version = (.+)$", path.read_text(), re.MULTILINE)[0] for path in configs}
    assert len(versions) == 1
    assert f"## {versions.pop()}" in text("CHANGELOG.md")


def test_no_contract_has_an_exception() -> None:
    assert "ignore_imports" not in text("setup.cfg")


def test_the_limits_in_the_documentation_are_the_settings_and_their_defaults() -> None:
    from pegboard_serve.command import serve
    from pegboard_serve.settings import Settings

    table = dict(re.findall(r"^\| `--([a-z-]+)` \| ([\d,]+|any)", text("docs/serving.md"), re.MULTILINE))
    told = Settings(model="", registry="")
    names = {name: name.replace("-", "_").replace("host", "hosts") for name in table}
    shown = {name: getattr(told, names[name]) or "any" for name in table}
    assert {name: default.replace(",", "") for name, default in table.items()} == {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in shown.items()
    }
    limits = {p.name for p in serve.params if p.name and p.name.startswith(("max_", "channel_", "drain_"))}
    assert limits <= set(names.values())


def test_every_metric_is_documented_with_its_labels() -> None:
    from pegboard_serve.metrics import Metrics

    documented = dict(re.findall(r"^\| `(pegboard_\w+)` \| ([a-z, ]+)", text("docs/serving.md"), re.MULTILINE))
    labels = {name: {label.strip() for label in given.split(",")} for name, given in documented.items()}
    made = [value for value in vars(Metrics()).values() if hasattr(value, "_labelnames")]
    assert labels == {metric._name + "_total" * (metric._type == "counter"): set(metric._labelnames) for metric in made}
