"""The kernels of boosted trees: the pipeline's own bits, by row, by table, from many threads, and over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from pegboard import Kernel, ModelSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.frames import conform, from_rows, target_values, to_records, to_rows
from pegboard.kernels.check import disagreement
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.predictor import Predictor
from pegboard.preprocessing import tabular
from pegboard.registry import Registry
from pegboard.signature import Signature
from pegboard.testing.strategies import frames, signatures

#: The plugins, and what makes their models learn from tables of a few rows.
FAMILY: dict[str, dict[str, Any]] = {
    "hist-gradient": {"max_iter": 20, "min_samples_leaf": 2},
    "lightgbm": {"n_estimators": 20, "min_child_samples": 2},
    "xgboost": {"n_estimators": 20},
}
CASES: dict[str, tuple[int, ...]] = {"a number": (), "two classes": (160_000,), "three classes": (130_000, 200_000)}


each_plugin = pytest.mark.parametrize("name", FAMILY)
each_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def environment(name: str) -> dict[str, str]:
    return {"PEGBOARD_LOAD_PLUGINS": f"house-prices,serve,sklearn,{name}"}


@cache
def model_of(name: str, task: str) -> ModelSpec:
    suffix = {"regression": "regressor", "classification": "classifier"}[task]
    return Catalog(load_plugins(environ=environment(name))).get(ModelSpec, f"{name}-{suffix}")


def compiled(name: str, signature: Signature, features: Any, target: Any, **params: Any) -> tuple[Predictor, Kernel]:
    plugin, model = import_module(f"pegboard_{name.replace('-', '_')}.plugin"), model_of(name, signature.task)
    pipeline = make_pipeline(tabular(signature, model.wants), model.make(**params)).fit(features, target)
    kernel = plugin.build(pipeline, signature)
    assert kernel is not None
    return Predictor(pipeline, signature), kernel


@cache
def ames(name: str, case: str) -> tuple[Predictor, Kernel, list[list[Any]]]:
    """All of Ames, a tenth of its values taken out, and some categories that the model has never seen."""
    frame = Catalog(load_plugins(environ=environment(name))).get(SourceSpec, "house-prices").load()  # type: ignore[misc]
    task = "classification" if CASES[case] else "regression"
    target = frame["SalePrice"].astype(float)
    if CASES[case]:
        target = np.array(["cheap", "fair", "dear"], dtype=object)[np.digitize(target, CASES[case])]
    source = SourceSpec(name="a", task=task, target="SalePrice", keys=("Id",), load=lambda: frame)  # type: ignore[arg-type]
    holes = np.random.default_rng(0).random((len(frame), frame.shape[1])) < 0.1
    holes[:, frame.columns.isin(["Id", "SalePrice"])] = False
    frame = frame.assign(SalePrice=target).astype(object).mask(holes).infer_objects()
    signature = learn_signature(frame, source)
    features = conform(frame, signature)
    predictor, kernel = compiled(name, signature, features, target_values(frame, signature))
    rows = to_rows(to_records(features, signature), signature)
    strange = [["never seen" if isinstance(value, str) else value for value in row] for row in rows[:50]]
    return predictor, kernel, rows + strange


@each_case
@each_plugin
def test_a_kernel_has_the_pipelines_bits_for_one_row_and_for_all(name: str, case: str) -> None:
    predictor, kernel, rows = ames(name, case)
    columns = from_rows(rows, predictor.signature)
    expected = predictor.ask(columns)
    np.testing.assert_array_equal(kernel.many(columns), expected)
    np.testing.assert_array_equal([kernel.one(row) for row in rows], expected)


@each_case
@each_plugin
def test_a_kernel_answers_with_plain_numbers_and_ignores_what_follows_the_features(name: str, case: str) -> None:
    _, kernel, rows = ames(name, case)
    answer = kernel.one([*rows[0], "a key", None])
    assert answer == kernel.one(rows[0])
    numbers = answer if isinstance(answer, list) else [answer]
    assert [type(number) for number in numbers] == [float] * (len(CASES[case]) + 1)


@each_case
@each_plugin
def test_eight_threads_at_once_get_the_same_bits(name: str, case: str) -> None:
    predictor, kernel, rows = ames(name, case)
    rows = rows[-400:]
    columns = from_rows(rows, predictor.signature)
    one, many = np.array([kernel.one(row) for row in rows]), kernel.many(columns)

    def ask(number: int) -> bool:
        alone = np.array([kernel.one(row) for row in rows[number * 50 :] + rows[: number * 50]])
        return bool((np.roll(alone, number * 50, axis=0) == one).all() and (kernel.many(columns) == many).all())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [True] * 8


@each_plugin
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_kernel_agrees_on_any_table_that_a_signature_allows(name: str, data: st.DataObject) -> None:
    signature = data.draw(signatures())
    frame = data.draw(frames(signature, largest=1e6))
    features = conform(frame, signature)
    predictor, kernel = compiled(name, signature, features, target_values(frame, signature), **FAMILY[name])
    rows = to_rows(to_records(features, signature), signature)
    assert disagreement(kernel, predictor.ask, signature, rows) is None


@each_plugin
def test_a_model_is_trained_published_and_served_by_its_kernel(name: str, tmp_path: Path) -> None:
    model, environ = f"{name}-regressor", {**os.environ, **environment(name)}
    run = [sys.executable, "-m", "pegboard"]
    train = [*run, "train", "--source", "house-prices", "--name", "houses", "--model", model, "--folds", "2"]
    trained = subprocess.run(train, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    bundle = (registry := Registry(str(tmp_path / "registry"))).open(registry.resolve("houses"))
    signature = bundle.signature
    frame = Catalog(load_plugins(environ=environment(name))).get(SourceSpec, "house-prices").load()  # type: ignore[misc]
    features = conform(frame.head(5), signature)
    records = to_records(features, signature)
    command = [*run, "serve", "houses", "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            answers = [asked(f"{found[0]}/predict", record)["predictions"][0] for record in records]
            note = asked(f"{found[0]}/model")["predictor"]
        finally:
            server.terminate()
    assert note == f"kernel '{model}'"
    assert answers == bundle.pipeline().predict(features).tolist()


def asked(url: str, record: Any = None) -> Any:
    body = None if record is None else json.dumps(record).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())
