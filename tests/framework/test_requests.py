"""Records and tables are judged alike, become the same canonical frame, and signatures survive JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor

from pegboard.errors import PluginError, Problem, SignatureError
from pegboard.frames import conform, from_records
from pegboard.predictor import Predictor
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, ClassLabel, Feature, Signature
from pegboard.specs import KINDS, Kind, Task

Records = list[dict[str, Any]]

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
TEXT = st.text(max_size=5)
EDGES = [0.5, 0.0, 5e-324, 2**53, 2**53 + 1, 2**63, 2**64, 10**400, LARGEST_NUMBER, 3.5e38, math.inf]
NUMBERS = st.sampled_from([*EDGES, *(-edge for edge in EDGES)]) | st.integers() | st.floats(allow_nan=False)
CONTAINERS = st.lists(st.integers(), max_size=2) | st.dictionaries(TEXT, st.none(), max_size=1)
ANYTHING = st.none() | st.booleans() | NUMBERS | ANY_TEXT | CONTAINERS

FITTING: dict[Kind, st.SearchStrategy[Any]] = {
    "number": st.floats(-LARGEST_NUMBER, LARGEST_NUMBER) | st.integers(-(2**70), 2**70),
    "integer": st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | st.sampled_from([3.0, -0.0, 2.0**53 - 1]),
    "boolean": st.booleans(),
    "category": TEXT,
}
LABELS: list[st.SearchStrategy[list[ClassLabel]]] = [
    st.lists(TEXT, min_size=2, max_size=4, unique=True),
    st.lists(st.integers(), min_size=2, max_size=4, unique=True),
    st.just([False, True]),
]


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = draw(st.lists(TEXT, min_size=3, max_size=6, unique=True))
    kinds = st.sampled_from(KINDS)
    features = [Feature(name, draw(kinds), draw(st.booleans())) for name in names[2:]]
    return Signature("regression", tuple(features), names[0], keys=(names[1],))


@st.composite
def whole_signatures(draw: st.DrawFn) -> Signature:
    """With everything that learning adds, and of both tasks."""
    plain = draw(signatures())
    ranges = st.none() | st.floats(allow_nan=False, allow_infinity=False)
    categories = st.none() | st.lists(ANY_TEXT, unique=True, max_size=4).map(tuple)
    features = (
        replace(f, minimum=draw(ranges), maximum=draw(ranges), categories=draw(categories)) for f in plain.features
    )
    classes = draw(st.just([]) | st.one_of(LABELS))
    task: Task = "classification" if classes else "regression"
    return replace(plain, task=task, features=tuple(features), classes=tuple(classes))


def fitting(feature: Feature) -> st.SearchStrategy[Any]:
    values = FITTING[feature.kind]
    return values | st.none() if feature.nullable else values


@st.composite
def fitting_records(draw: st.DrawFn) -> tuple[Signature, Records]:
    signature = draw(signatures())
    row = st.fixed_dictionaries({f.name: fitting(f) for f in signature.features})
    return signature, draw(st.lists(row, min_size=1, max_size=5))


@st.composite
def any_records(draw: st.DrawFn) -> tuple[Signature, Records]:
    """At most five rows: of more bad values in a column a table's complaint names five."""
    signature, records = draw(fitting_records())
    for feature in signature.features:
        for row in draw(st.sets(st.sampled_from(range(len(records))), max_size=len(records))):
            records[row][feature.name] = draw(ANYTHING | NUMBERS)
    return signature, records


def as_objects(records: Records, signature: Signature) -> pd.DataFrame:
    return pd.DataFrame({f.name: pd.Series([r[f.name] for r in records], dtype=object) for f in signature.features})


def as_pandas_infers(records: Records, signature: Signature) -> pd.DataFrame:
    return pd.DataFrame({f.name: pd.Series([r[f.name] for r in records]) for f in signature.features})


Tabled = Callable[[Records, Signature], pd.DataFrame]
either_table = pytest.mark.parametrize("tabled", [as_objects, as_pandas_infers])


def where(problems: Iterable[Problem]) -> tuple[set[tuple[int | None, str | None]], int]:
    places = [(problem.row, problem.field) for problem in problems]
    return set(places), len(places)


def complaint(signature: Signature, table: pd.DataFrame) -> tuple[set[tuple[int | None, str | None]], int]:
    try:
        conform(table, signature)
    except SignatureError as error:
        return where(error.problems)[0], error.total
    return set(), 0


@either_table
@settings(deadline=None)
@given(case=fitting_records())
def test_accepted_records_and_their_table_become_one_canonical_frame(
    tabled: Tabled, case: tuple[Signature, Records]
) -> None:
    signature, records = case
    assert signature.problems(records) == []
    frame = from_records(records, signature)
    assert list(frame.columns) == [f.name for f in signature.features]
    for feature in signature.features:
        values = frame[feature.name]
        assert values.dtype == (object if feature.kind == "category" else np.float64)
        for value, record in zip(values, records, strict=True):
            sent = record[feature.name]
            assert pd.isna(value) if sent is None else value == (sent if isinstance(sent, str) else float(sent))
    pd.testing.assert_frame_equal(frame, conform(tabled(records, signature), signature), check_exact=True)


ONE_INTEGER = Signature("regression", (Feature("x", "integer"),), "y")
ONE_NUMBER = Signature("regression", (Feature("x", "number"),), "y")
ONE_TEXT = Signature("regression", (Feature("x", "category"),), "y")


@either_table
@settings(deadline=None, max_examples=200)
@given(case=any_records())
@example(case=(ONE_INTEGER, [{"x": LARGEST_INTEGER + 1}, {"x": 1}]))
@example(case=(ONE_INTEGER, [{"x": True}, {"x": 1}]))
@example(case=(ONE_NUMBER, [{"x": 3.5e38}, {"x": 1.0}]))
@example(case=(ONE_TEXT, [{"x": "\ud800"}, {"x": "a"}]))
@example(case=(ONE_TEXT, [{"x": "a\udfff"}]))
def test_what_records_are_refused_for_their_table_is_refused_for_too(
    tabled: Tabled, case: tuple[Signature, Records]
) -> None:
    signature, records = case
    try:
        table = tabled(records, signature)
    except (OverflowError, UnicodeError):
        assume(False)  # pandas itself cannot hold these values
    assert complaint(signature, table) == where(signature.problems(records))


@settings(deadline=None)
@given(case=fitting_records(), data=st.data())
def test_a_missing_or_unknown_field_is_found_beside_everything_else(
    case: tuple[Signature, Records], data: st.DataObject
) -> None:
    signature, records = case
    names = {f.name for f in signature.features}
    row = data.draw(st.integers(0, len(records) - 1))
    gone = data.draw(st.sampled_from(sorted(names)))
    del records[row][gone]
    new = data.draw(ANY_TEXT.filter(lambda name: name not in names and name not in signature.keys))
    records[row][new] = None
    missing, unknown = signature.problems(records)
    assert (missing.row, missing.field, unknown.row, unknown.field) == (row, gone, row, new)
    assert missing.problem.startswith("is missing")
    assert unknown.problem.startswith("is not a feature")


@settings(deadline=None)
@given(case=fitting_records(), value=ANYTHING)
def test_a_key_may_hold_anything_and_changes_nothing(case: tuple[Signature, Records], value: object) -> None:
    signature, records = case
    plain = from_records(records, signature)
    keyed = [{signature.keys[0]: value, **record} for record in records]
    assert signature.problems(keyed) == []
    pd.testing.assert_frame_equal(from_records(keyed, signature), plain, check_exact=True)


@given(
    signature=signatures(), rows=st.lists(st.none() | NUMBERS | ANY_TEXT | st.lists(st.none()), min_size=1, max_size=4)
)
def test_a_row_that_is_no_object_is_named_as_a_whole(signature: Signature, rows: list[object]) -> None:
    problems = signature.problems(rows)
    assert [(p.row, p.field) for p in problems] == [(row, None) for row in range(len(rows))]
    assert all(p.problem.startswith("must be an object with named fields, not ") for p in problems)


@given(signature=whole_signatures())
def test_a_signature_survives_json(signature: Signature) -> None:
    again = Signature.from_dict(json.loads(json.dumps(signature.to_dict(), allow_nan=False)))
    assert again == signature
    assert [type(label) for label in again.classes] == [type(label) for label in signature.classes]


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("number", math.nan, "must be a finite number of at most 3.403e+38"),
        ("number", -math.inf, "must be a finite number of at most 3.403e+38"),
        ("number", 3.5e38, "must be a finite number of at most 3.403e+38"),
        ("number", "1", "must be a number, not a text"),
        ("integer", 1.5, "must be an integer"),
        ("integer", -(2**53), "must be an integer below 2**53 in magnitude"),
        ("boolean", 1, "must be true or false, not a number"),
        ("boolean", "true", "must be true or false, not a text"),
        ("boolean", None, "must not be null: the training data has no nulls here"),
        ("category", 1, "must be a text, not a number"),
        ("category", {}, "must be a text, not an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_words(kind: Kind, value: object, problem: str) -> None:
    predictor = Predictor(DummyRegressor(), Signature("regression", (Feature("x", kind),), "y"))
    with pytest.raises(SignatureError) as caught:
        predictor.predict_records([{"x": value}])
    assert caught.value.problems == (Problem(0, "x", problem),)


def test_a_nan_in_a_table_is_the_null_of_a_record() -> None:
    signature = Signature("regression", (Feature("x", "number", nullable=True), Feature("z", "category", True)), "y")
    records = from_records([{"x": None, "z": None}], signature)
    for missing in (None, math.nan, pd.NA):
        pd.testing.assert_frame_equal(conform(pd.DataFrame({"x": [missing], "z": [missing]}), signature), records)


def test_a_column_that_comes_twice_is_refused_by_name() -> None:
    twice = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(SignatureError, match=r"x: .*more than once"):
        conform(twice, ONE_INTEGER)


@pytest.mark.parametrize(
    ("labels", "plain"),
    [(["b\0", "a", "b\0"], ["a", "b\0"]), ([3, 1, 3], [1, 3]), ([True, False, True], [False, True])],
)
def test_labels_keep_their_type_and_probabilities_their_names(labels: list[Any], plain: list[Any]) -> None:
    features = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    signature = Signature("classification", (Feature("x", "number"),), "y", classes=tuple(plain))
    target = np.array(labels, dtype=object if isinstance(labels[0], str) else None)
    answer = Predictor(DummyClassifier().fit(features, target), signature).predict_records([{"x": 1}]).to_dict()
    shares = {str(plain[0]): pytest.approx(1 / 3), str(plain[1]): pytest.approx(2 / 3)}
    assert json.loads(json.dumps(answer)) == {"predictions": [labels[0]], "probabilities": [shares]}
    assert type(answer["predictions"][0]) is type(labels[0])


def test_no_rows_have_no_predictions() -> None:
    number = (Feature("x", "number"),)
    prices = Predictor(None, Signature("regression", number, "y"))
    kinds = Predictor(DummyClassifier(), Signature("classification", number, "y", classes=("a", "b")))
    assert prices.predict_records([]).to_dict() == {"predictions": []}
    assert kinds.predict(pd.DataFrame({"x": []})).to_dict() == {"predictions": [], "probabilities": []}


class Answering:
    """A pipeline that gives these answers whatever it is asked."""

    def __init__(self, answers: Any) -> None:
        self.answers = np.asarray(answers)

    def predict(self, _: Any) -> Any:
        return self.answers


def test_a_column_of_answers_is_taken_and_any_other_shape_is_not() -> None:
    rows = [{"x": 1.0}, {"x": 2.0}]
    assert Predictor(Answering([[1.0], [2.0]]), ONE_NUMBER).predict_records(rows).values.tolist() == [1.0, 2.0]
    for answers in ([1.0], [[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], 1.0):
        with pytest.raises(PluginError, match=r"the model answers with shape \(.*\) where \(2,\) is right"):
            Predictor(Answering(answers), ONE_NUMBER).predict_records(rows)
