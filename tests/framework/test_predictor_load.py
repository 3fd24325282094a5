"""Loading a bundle: a pipeline that does not replay never serves, and a kernel that differs costs only itself."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from pegboard import KernelSpec, SourceSpec, Wants
from pegboard import bundle as bundles
from pegboard.bundle import Bundle
from pegboard.catalog import Catalog
from pegboard.errors import BundleError, Problem, SignatureError
from pegboard.frames import conform, to_records
from pegboard.kernels.choose import Choice
from pegboard.kernels.families import build
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.learning import learn_signature
from pegboard.predictor import Answers, Predictor
from pegboard.preprocessing import tabular
from pegboard.provenance import RECORDED, library_version
from pegboard.signature import Signature

HOUSES = pd.DataFrame(
    {
        "area": [None if row == 5 else 100.0 + row * 7 % 40 for row in range(30)],
        "zone": pd.Series(["RL", "RM", None][row % 3] for row in range(30)).astype(object),
        "price": [1000.0 + row * 31 % 17 for row in range(30)],
    }
)
LINEAR = "sklearn.linear_model:LinearRegression"


class OwnRegression(LinearRegression):  # type: ignore[misc]
    """What a plugin might make of it."""


def write(directory: Path, estimator: Any = None, classes: bool = False, **replay: Any) -> Bundle:
    """A bundle of a fitted pipeline; ``replay`` changes what it stores."""
    frame = HOUSES.assign(price=np.where(HOUSES.price > 1008, "dear", "cheap")) if classes else HOUSES
    task: Any = "classification" if classes else "regression"
    signature = learn_signature(frame, SourceSpec(name="h", task=task, target="price", load=pd.DataFrame))
    features = conform(frame, signature)
    pipeline = make_pipeline(tabular(signature, Wants(scaling=True)), estimator or LinearRegression())
    pipeline.fit(features, frame["price"].to_numpy())
    rows = to_records(features, signature)
    stored = {"rows": rows, **Predictor(pipeline, signature).predict_records(rows).to_dict(), **replay}
    return bundled(directory, pipeline, signature, stored)


def bundled(directory: Path, pipeline: Any, signature: Signature, stored: dict[str, Any]) -> Bundle:
    pickled = io.BytesIO()
    joblib.dump(pipeline, pickled)
    manifest = {
        "name": "house",
        "model": "linear",
        "signature": signature.to_dict(),
        "leaderboard": Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0))]).to_dict(),
        "metrics": {},
        "data": {},
        "python": "3",
        "plugins": [],
        "libraries": {name: library_version(name) for name in RECORDED},
        "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
    }
    files = {bundles.PIPELINE: pickled.getvalue(), bundles.REPLAY: json.dumps(stored).encode()}
    return bundles.write(directory / "bundle", manifest, files)


def spec(name: str, build: Callable[..., Any], estimator: str = LINEAR) -> KernelSpec:
    return KernelSpec(name=name, estimator=estimator, build=build)


class Changed:
    """The real kernel, its answers changed by functions of what is asked and what is answered."""

    def __init__(self, one: Callable[..., Any] | None = None, many: Callable[..., Any] | None = None) -> None:
        self._change_one = one or (lambda _, answer: answer)
        self._change_many = many or (lambda _, answers: answers)

    def __call__(self, pipeline: Any, signature: Signature) -> Changed:
        kernel = build(pipeline, signature)
        assert kernel is not None
        self.kernel = kernel
        return self

    def one(self, values: Sequence[Any]) -> Any:
        return self._change_one(values, self.kernel.one(values))

    def many(self, columns: Sequence[Any]) -> Any:
        return self._change_many(columns, self.kernel.many(columns))


def off(_: Any, answer: Any) -> Any:
    return answer * (1 + 1e-8)


def off_where(question: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda asked, answer: np.where(question(asked), answer + 1, answer).tolist()


def raising(*_: Any) -> Any:
    raise RuntimeError("no")


def test_a_kernel_that_agrees_serves(tmp_path: Path, catalog: Catalog) -> None:
    bundle = write(tmp_path)
    predictor = Predictor.load(bundle, catalog.kernels())
    assert (predictor.compiled, predictor.note) == (True, "kernel 'linear-regression'")
    plain = Predictor.load(bundle)
    assert (plain.compiled, plain.note) == (False, "no kernel for LinearRegression")
    np.testing.assert_allclose(predictor.predict(HOUSES).values, plain.predict(HOUSES).values, rtol=1e-9)


def test_a_kernel_serves_every_way_of_asking(tmp_path: Path) -> None:
    asked: list[str] = []

    def told(way: str) -> Callable[[Any, Any], Any]:
        return lambda _, answer: asked.append(way) or answer

    predictor = Predictor.load(write(tmp_path), [spec("told", Changed(told("one"), told("many")))])
    asked.clear()
    predictor.predict_rows([[110.0, "RL", "a key"]])
    predictor.predict_rows([[110.0, "RL"], [None, None]])
    predictor.predict_records([{"area": 1, "zone": "x"}])
    predictor.predict(HOUSES)
    assert asked == ["one", "many", "many", "many"]
    assert predictor.predict_rows([]) == Answers([], None)
    assert len(asked) == 4


LIES: dict[str, tuple[Changed, str]] = {
    "in one": (Changed(one=off), r"disagrees with the pipeline: row 0: 1\d\d\d\.\d+, not 1\d\d\d\.\d+"),
    "in many": (Changed(many=off), r"disagrees with the pipeline: row 0: 1\d\d\d\.\d+, not 1\d\d\d\.\d+"),
    "of nulls in one": (Changed(one=off_where(lambda v: v[0] is None)), r"disagrees with the pipeline: row 5: .*"),
    "of the unknown in one": (
        Changed(one=off_where(lambda v: v[1] not in ("RL", "RM", None))),
        r"disagrees with the pipeline: edge row \d+: .*",
    ),
    "of the unknown in many": (
        Changed(many=lambda c, a: a + pd.Series(c[1]).map(lambda v: isinstance(v, str) and v[0:1] != "R").to_numpy()),
        r"disagrees with the pipeline: edge row \d+: .*",
    ),
    "of what is far away": (
        Changed(one=lambda v, a: a * 2 if abs(v[0] or 0) > 1e30 else a),
        r"disagrees with the pipeline: edge row \d+: .*e\+.*, not .*e\+.*",
    ),
    "nan": (Changed(one=lambda *_: math.nan), r"disagrees with the pipeline: row 0: nan, not 1\d\d\d\..*"),
    "nan in many": (Changed(many=lambda _, a: a * math.nan), r"disagrees with the pipeline: row 0: nan, not .*"),
    "another shape": (
        Changed(many=lambda _, a: a[:, None]),
        r"disagrees with the pipeline: answers have the shape \(30, 1\), not \(30,\)",
    ),
    "a number that is not Python's": (
        Changed(one=lambda _, a: np.float64(a)),
        r"failed: TypeError: one\(\) gave np\.float64\(.*\), not a float",
    ),
    "raises in one": (Changed(one=raising), "failed: RuntimeError: no"),
    "raises in many": (Changed(many=raising), "failed: RuntimeError: no"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_kernel_that_differs_or_raises_is_caught_and_the_pipeline_serves(tmp_path: Path, lie: str) -> None:
    kernel, note = LIES[lie]
    bundle = write(tmp_path)
    predictor = Predictor.load(bundle, [spec("bad", kernel)])
    assert not predictor.compiled
    assert re.fullmatch(f"kernel 'bad' {note}", predictor.note), predictor.note
    assert predictor.kernel_refused
    expected = bundle.replay()["predictions"]
    np.testing.assert_allclose(predictor.predict(HOUSES).values, expected, rtol=1e-12)
    rows = [list(row.values()) for row in bundle.replay()["rows"]]
    assert predictor.predict_rows(rows) == Answers(predictor.predict(HOUSES).values.tolist(), None)
    assert predictor.predict_rows(rows[:1]).values == pytest.approx(expected[:1], rel=1e-12)


@pytest.mark.parametrize(
    ("kernels", "note"),
    [
        ([], "no kernel for LinearRegression"),
        ([spec("other", raising, "sklearn.linear_model:Ridge")], "no kernel for LinearRegression"),
        ([spec("broken", raising)], "kernel 'broken' failed: RuntimeError: no"),
        ([spec("modest", lambda *_: None)], "kernel 'modest' does not know this pipeline"),
        (
            [spec("absent", build, "no_such_module:LinearRegression")],
            "kernel 'absent' failed: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            [spec("a", build), spec("b", build, "sklearn.linear_model._base:LinearRegression")],
            "kernels 'a' and 'b' both claim LinearRegression: uninstall one of them",
        ),
    ],
)
def test_a_kernel_that_cannot_be_used_costs_only_itself(tmp_path: Path, kernels: list[KernelSpec], note: str) -> None:
    predictor = Predictor.load(write(tmp_path), kernels)
    assert (predictor.compiled, predictor.note) == (False, note)
    assert np.isfinite(predictor.predict_rows([[110.0, "RL"]]).values).all()


def test_a_subclass_is_another_estimator(tmp_path: Path, catalog: Catalog) -> None:
    predictor = Predictor.load(write(tmp_path, OwnRegression()), catalog.kernels())
    assert (predictor.compiled, predictor.note) == (False, "no kernel for OwnRegression")


def test_a_classifier_without_probabilities_is_replayed_by_its_labels(tmp_path: Path, catalog: Catalog) -> None:
    bundle = write(tmp_path, SVC(), classes=True)
    predictor = Predictor.load(bundle, catalog.kernels())
    assert predictor.note == "no kernel for SVC"
    assert predictor.predict_rows([[110.0, "RL"]]).probabilities is None
    stored = bundle.replay()["predictions"]
    turned = write(tmp_path / "turned", SVC(), classes=True, predictions=[*stored[:-1], "neither"])
    with pytest.raises(BundleError, match=rf"row 29: '{stored[-1]}', not 'neither'"):
        Predictor.load(turned)


@pytest.mark.parametrize(
    ("replay", "problem"),
    [
        ({"predictions": [1.0] * 30}, r"row 0: 1\d\d\d\.\d+, not 1\.0"),
        ({"predictions": [1.0]}, r"answers have the shape \(30,\), not \(1,\)"),
        ({"rows": [{"area": 1.0}], "predictions": [1.0]}, "SignatureError: .*"),
        ({"rows": None}, "TypeError: .*"),
    ],
)
def test_a_pipeline_that_does_not_replay_never_serves(tmp_path: Path, replay: dict[str, Any], problem: str) -> None:
    bundle = write(tmp_path, **replay)
    whole = f"{bundle.directory}: model 'linear' predicts differently after it was pickled and read back: "
    with pytest.raises(BundleError) as refused:
        Predictor.load(bundle)
    assert re.fullmatch(f"{whole}{problem}; {bundles.REMEDY}", str(refused.value), re.DOTALL), refused.value


def test_the_replay_of_probabilities_is_compared_too(tmp_path: Path) -> None:
    bundle = write(tmp_path, LogisticRegression(), classes=True)
    stored = bundle.replay()["probabilities"]
    Predictor.load(bundle)
    stored[7] = {"cheap": stored[7]["cheap"] + 1e-6, "dear": stored[7]["dear"] - 1e-6}
    with pytest.raises(BundleError, match="row 7: "):
        Predictor.load(write(tmp_path / "other", LogisticRegression(), classes=True, probabilities=stored))


@pytest.mark.parametrize(("change", "serves"), [(1e-10, True), (1e-8, False)])
def test_a_replay_may_differ_in_the_tenth_digit_and_not_in_the_eighth(
    tmp_path: Path, change: float, serves: bool
) -> None:
    stored = write(tmp_path / "as it is").replay()["predictions"]
    bundle = write(tmp_path, predictions=[stored[0], stored[1] * (1 + change), *stored[2:]])
    if serves:
        assert not Predictor.load(bundle).compiled
    else:
        with pytest.raises(BundleError, match="row 1: "):
            Predictor.load(bundle)


def test_an_answer_that_is_not_finite_is_refused_by_row_with_a_kernel_too(tmp_path: Path, catalog: Catalog) -> None:
    bundle = write(tmp_path)
    pipeline = bundle.pipeline()
    pipeline[-1].coef_ = np.array([1e290, 0.0, 0.0, 0.0][: len(pipeline[-1].coef_)])
    rows = bundle.replay()["rows"]
    stored = Predictor(pipeline, bundle.signature).predict_records(rows).to_dict()
    predictor = Predictor.load(
        bundled(tmp_path / "steep", pipeline, bundle.signature, {"rows": rows, **stored}), catalog.kernels()
    )
    assert predictor.note == "kernel 'linear-regression'"
    for asked, row in (([[1e30, "RL"]], 0), ([[1.0, "RL"], [1e30, None]], 1)):
        with pytest.raises(SignatureError) as refused:
            predictor.predict_rows(asked)
        assert refused.value.problems == (Problem(row, None, "the model has no finite answer for it"),)


def test_a_list_of_probabilities_with_one_that_is_not_finite_is_refused() -> None:
    signature = Signature("classification", (), "y", classes=("a", "b"))
    kernel = Changed()
    kernel.one = lambda _: [math.nan, 1.0]  # type: ignore[method-assign]
    with pytest.raises(SignatureError, match="row 0: the model has no finite answer"):
        Predictor(None, signature, Choice(kernel, "")).predict_rows([[]])
