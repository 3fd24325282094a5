"""What ``pegboard new plugin`` writes, really installed: it passes its own tests, and takes part at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegboard.scaffold.house import KINDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[str], Any]) -> Any:
    made = new_environment("author")
    shutil.copy(ROOT / "pegboard.toml", made.directory)
    before = made.names("model")
    for kind in KINDS:
        made.run("pegboard", "new", "plugin", f"acme-{kind}", "--kind", kind)
    made.install(*(f"acme-{kind}" for kind in KINDS))
    made.models = made.names("model") - before
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_passes_its_own_tests(environment: Any, kind: str) -> None:
    printed = environment.run("pytest", f"acme-{kind}", "-q", "-p", "no:cacheprovider")
    assert "0 fail" in printed
    assert "skipped" not in printed


def test_all_kinds_take_part_in_one_training(environment: Any) -> None:
    assert {f"acme-model-{name}" for name in ("ridge", "logistic")} == environment.models
    parts = ("--source", "acme-source", "--scorer", "acme-scorer-within-10-percent")
    parts += ("--preprocessor", "acme-preprocessor-ordinal", "--model", "acme-model-ridge")
    before = set(environment.directory.iterdir())
    printed = environment.run("pegboard", "train", *parts)
    assert "acme-model-ridge" in printed
    assert "within-10-percent" in printed
    assert "published acme-source/1" in printed
    kept = [path for path in set(environment.directory.iterdir()) - before if path.is_file()]
    assert any("acme-source" in path.read_text(encoding="utf-8") for path in kept), kept
