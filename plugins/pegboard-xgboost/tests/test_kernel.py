"""XGBoost's kernels: the pipeline's own bits, by row, by table, from many threads, and over HTTP."""

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
from pegboard_xgboost import plugin

ENVIRONMENT = {"PEGBOARD_LOAD_PLUGINS": "house-prices,serve,sklearn,xgboost"}
MODELS: dict[str, ModelSpec] = {
    model.task: model for model in plugin.register_models() if model.name.startswith("xgboost")
}
#: For tables of a few rows.
SMALL = {"n_estimators": 20}
CASES: dict[str, tuple[int, ...]] = {"a number": (), "two classes": (160_000,), "three classes": (130_000, 200_000)}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def compiled(signature: Signature, features: Any, target: Any, **params: Any) -> tuple[Predictor, Kernel]:
    model = MODELS[signature.task]
    pipeline = make_pipeline(tabular(signature, model.wants), model.make(**params)).fit(features, target)
    kernel = plugin.build(pipeline, signature)
    assert kernel is not None
    return Predictor(pipeline, signature), kernel


@cache
def ames(case: str) -> tuple[Predictor, Kernel, list[list[Any]]]:
    """All of Ames, a tenth of its values taken out, and some categories that the model has never seen."""
    frame = Catalog(load_plugins(environ=ENVIRONMENT)).get(SourceSpec, "house-prices").load()  # type: ignore[misc]
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
    predictor, kernel = compiled(signature, features, target_values(frame, signature))
    rows = to_rows(to_records(features, signature), signature)
    strange = [["never seen" if isinstance(value, str) else value for value in row] for row in rows[:50]]
    return predictor, kernel, rows + strange


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_has_the_pipelines_bits_for_one_row_and_for_all(case: str) -> None:
    predictor, kernel, rows = ames(case)
    columns = from_rows(rows, predictor.signature)
    expected = predictor.ask(columns)
    np.testing.assert_array_equal(kernel.many(columns), expected)
    np.testing.assert_array_equal([kernel.one(row) for row in rows], expected)


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_answers_with_plain_numbers_and_ignores_what_follows_the_features(case: str) -> None:
    _, kernel, rows = ames(case)
    answer = kernel.one([*rows[0], "a key", None])
    assert answer == kernel.one(rows[0])
    numbers = answer if isinstance(answer, list) else [answer]
    assert [type(number) for number in numbers] == [float] * (len(CASES[case]) + 1)


@pytest.mark.parametrize("case", CASES)
def test_eight_threads_at_once_get_the_same_bits(case: str) -> None:
    predictor, kernel, rows = ames(case)
    rows = rows[-400:]
    columns = from_rows(rows, predictor.signature)
    one, many = np.array([kernel.one(row) for row in rows]), kernel.many(columns)

    def ask(number: int) -> bool:
        alone = np.array([kernel.one(row) for row in rows[number * 50 :] + rows[: number * 50]])
        return bool((np.roll(alone, number * 50, axis=0) == one).all() and (kernel.many(columns) == many).all())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [True] * 8


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_kernel_agrees_on_any_table_that_a_signature_allows(data: st.DataObject) -> None:
    signature = data.draw(signatures())
    frame = data.draw(frames(signature, largest=1e6))
    features = conform(frame, signature)
    predictor, kernel = compiled(signature, features, target_values(frame, signature), **SMALL)
    rows = to_rows(to_records(features, signature), signature)
    assert disagreement(kernel, predictor.ask, signature, rows) is None


def test_a_model_is_trained_published_and_served_by_its_kernel(tmp_path: Path) -> None:
    name = MODELS["regression"].name
    environment = {**os.environ, **ENVIRONMENT}
    run = [sys.executable, "-m", "pegboard"]
    train = [*run, "train", "--source", "house-prices", "--name", "houses", "--model", name, "--folds", "2"]
    trained = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    bundle = (registry := Registry(str(tmp_path / "registry"))).open(registry.resolve("houses"))
    signature = bundle.signature
    frame = Catalog(load_plugins(environ=ENVIRONMENT)).get(SourceSpec, "house-prices").load()  # type: ignore[misc]
    features = conform(frame.head(5), signature)
    records = to_records(features, signature)
    command = [*run, "serve", "houses", "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            answers = [asked(f"{found[0]}/predict", record)["predictions"][0] for record in records]
            note = asked(f"{found[0]}/model")["predictor"]
        finally:
            server.terminate()
    assert note == f"kernel '{name}'"
    assert answers == bundle.pipeline().predict(features).tolist()


def asked(url: str, record: Any = None) -> Any:
    body = None if record is None else json.dumps(record).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())
