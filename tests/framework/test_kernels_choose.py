"""Which kernel is chosen for a pipeline, and why none is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import HuberRegressor, LinearRegression
from sklearn.pipeline import make_pipeline

from pegboard import KernelSpec, Wants
from pegboard.errors import PluginError
from pegboard.frames import as_frame, from_rows
from pegboard.kernels.choose import Choice, choose
from pegboard.kernels.families import build
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.signature import Feature, Signature

LINE = Signature("regression", (Feature("x", "number"),), "y")


def spec(name: str, build: Any, estimator: str = "sklearn.linear_model:LinearRegression") -> KernelSpec:
    return KernelSpec(name=name, estimator=estimator, build=build)


def test_another_class_of_the_same_name_is_another_estimator() -> None:
    namesake = type("LinearRegression", (LinearRegression,), {})().fit([[0.0], [1.0]], [0.0, 1.0])
    ask = Predictor(namesake, LINE).ask
    assert choose(namesake, LINE, [spec("any", build)], ask, [[1.0]]) == Choice(None, "no kernel for LinearRegression")


def test_a_kernel_without_a_row_to_check_it_on_is_not_used() -> None:
    line = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    chosen = choose(line, LINE, [spec("any", build)], Predictor(line, LINE).ask, [])
    assert chosen == Choice(None, "kernel 'any' cannot be checked: the bundle has no stored rows")


def test_kernels_import_no_training_and_the_facade_no_numbers() -> None:
    code = "import sys, pegboard; print(*sys.modules); import pegboard.kernels, pegboard.predictor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light, heavy = (set(line.split()) for line in done.stdout.splitlines())
    assert not light & {"numpy", "pandas", "sklearn", "pegboard.kernels"}
    assert not {name for name in heavy if name.startswith(("pegboard.training", "great_expectations"))}


@pytest.mark.parametrize("estimator", ["LinearRegression", "sklearn:", ":X", "a b:C", 3])
def test_an_estimator_that_is_no_class_is_refused_with_what_to_write(estimator: Any) -> None:
    with pytest.raises(PluginError, match=r"kernel 'x': estimator is .*: write 'module:Class'"):
        spec("x", build, estimator)


def test_the_kernel_in_the_guide_agrees_with_its_pipeline() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    (code,) = re.findall(r'^```python title="[^"]*/kernels\.py"\n(.*?)^```$', guide, re.MULTILINE | re.DOTALL)
    plugin: dict[str, Any] = {}
    exec(code, plugin)
    houses = Signature("regression", (Feature("area", "number", True), Feature("zone", "category", True)), "price")
    rows = [[None if n == 5 else 100.0 + n * 7 % 40, ("RL", "RM", None)[n % 3]] for n in range(30)]
    pipeline = make_pipeline(tabular(houses, Wants(scaling=True)), HuberRegressor(max_iter=1000))
    pipeline.fit(as_frame(from_rows(rows, houses), houses), np.arange(30) * 31 % 17)
    kernels = plugin["register_kernels"]()
    choice = choose(pipeline, houses, kernels, Predictor(pipeline, houses).ask, rows)
    assert choice.note == "kernel 'huber'"
    answers = Predictor(pipeline, houses, choice).predict(pd.DataFrame({"area": [120], "zone": ["RM"]})).values
    assert answers == pytest.approx(Predictor(pipeline, houses).predict_rows([[120, "RM"]]).values, rel=1e-9)
