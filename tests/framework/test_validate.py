"""Great Expectations judges the data before anything is trained, and nothing slips through a misspelling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import SourceSpec
from pegboard.errors import ConfigError, DataError, SignatureError
from pegboard.frames import conform
from pegboard.learning import learn_signature
from pegboard.report import Finding, ValidationReport
from pegboard.testing.strategies import frames, signatures
from pegboard.training.validate import validate

ROWS = 30


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": range(ROWS),
            "size": np.linspace(1.0, 100.0, ROWS),
            "rooms": [1, 2, 3] * 10,
            "garden": [True, False] * 15,
            "zone": ["a", "b", "c"] * 10,
            "price": np.linspace(1e5, 2e5, ROWS),
        }
    )


Make = Callable[..., SourceSpec]


def run(frame: pd.DataFrame, source: SourceSpec, previous: Any = None) -> ValidationReport:
    return validate(frame, source, learn_signature(frame, source), previous)


def failed(report: ValidationReport) -> list[tuple[str, str | None]]:
    return [(finding.expectation, finding.column) for finding in report.failed]


def test_a_good_table_passes_and_every_expectation_was_run(frame: pd.DataFrame, frame_source: Make) -> None:
    report = run(frame, frame_source(frame, "price", keys=("id",)))
    assert report.success
    assert report.failed == ()
    expected = {f.expectation for f in report.findings}
    assert expected == {
        "expect_table_row_count_to_be_between",
        "expect_column_to_exist",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_between",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_unique",
    }
    assert sum(f.expectation == "expect_column_to_exist" for f in report.findings) == 6


@pytest.mark.parametrize(
    ("spoil", "expectation", "column"),
    [
        (lambda f: f.drop(columns="size"), "expect_column_to_exist", "size"),
        (lambda f: f.drop(columns="price"), "expect_column_to_exist", "price"),
        (lambda f: f.drop(columns="id"), "expect_column_to_exist", "id"),
        (lambda f: f.assign(size="big"), "expect_column_values_to_be_in_type_list", "size"),
        (lambda f: f.assign(zone=1), "expect_column_values_to_be_in_type_list", "zone"),
        (lambda f: f.assign(garden=1), "expect_column_values_to_be_in_type_list", "garden"),
        (lambda f: f.assign(size=[np.inf] + [1.0] * (ROWS - 1)), "expect_column_values_to_be_between", "size"),
        (lambda f: f.assign(price=[None] + [1.0] * (ROWS - 1)), "expect_column_values_to_not_be_null", "price"),
        (lambda f: f.assign(id=[1, 1, *range(2, ROWS)]), "expect_column_values_to_be_unique", "id"),
        (lambda f: f[:19], "expect_table_row_count_to_be_between", None),
    ],
)
def test_what_no_model_could_learn_from_is_critical(
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    expectation: str,
    column: str | None,
    frame: pd.DataFrame,
    frame_source: Make,
) -> None:
    kinds = {"size": "number", "rooms": "integer", "garden": "boolean", "zone": "category"}
    source = frame_source(frame, "price", keys=("id",), features=kinds)
    report = run(spoil(frame), source)
    assert not report.success
    assert (expectation, column) in failed(report)
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_regression_of_booleans_or_texts_is_refused_before_training(frame: pd.DataFrame, frame_source: Make) -> None:
    for target in ("garden", "zone"):
        report = run(frame, frame_source(frame, target, keys=("id",)))
        assert ("expect_column_values_to_be_in_type_list", target) in failed(report)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (pd.to_datetime(["2026-01-01", "2026-01-02"] * 15), "holds Timestamp values: classes are texts, integers or"),
        ([0.5, 1.0] * 15, "has fractional values, so it cannot name classes"),
        (["a", 1] * 15, "mixes texts, numbers and booleans as classes"),
    ],
)
def test_what_cannot_name_classes_is_refused(
    target: Any, message: str, frame: pd.DataFrame, frame_source: Make
) -> None:
    with pytest.raises(DataError, match=message):
        run(frame.assign(price=target), frame_source(frame, "price", "classification"))


def test_columns_need_names_that_are_texts(frame: pd.DataFrame, frame_source: Make) -> None:
    with pytest.raises(DataError, match=r"delivers columns whose names are no texts: \[7\]"):
        run(frame.rename(columns={"size": 7}), frame_source(frame, "price"))


def test_values_of_any_type_are_shown(frame: pd.DataFrame, frame_source: Make) -> None:
    odd = frame.assign(zone=[["a"], {"b": 1}, ["a"]] * 10)
    report = run(odd, frame_source(frame, "price", features={"zone": "category"}))
    (finding,) = report.failed
    assert finding.examples == (["a"], "{'b': 1}")
    json.dumps(report.to_dict(), allow_nan=False)


def test_one_class_is_not_a_classification(frame: pd.DataFrame, frame_source: Make) -> None:
    report = run(frame.assign(price="dear"), frame_source(frame, "price", "classification", keys=("id",)))
    assert failed(report) == [("expect_column_unique_value_count_to_be_between", "price")]


def expectation(type_: str = "expect_column_values_to_be_between", **more: Any) -> dict[str, Any]:
    return {"type": type_, "kwargs": {"column": "size", "min_value": 0, "max_value": 50}, **more}


def test_a_declared_expectation_says_which_rows_break_it(frame: pd.DataFrame, frame_source: Make) -> None:
    report = run(frame, frame_source(frame, "price", expectations=[expectation()]))
    (finding,) = report.failed
    assert (finding.origin, finding.severity, finding.unexpected) == ("source", "critical", 15)
    assert finding.rows == (15, 16, 17, 18, 19)
    assert finding.examples[0] == pytest.approx(frame["size"][15])
    assert "on 'size' (min_value=0, max_value=50): 15 rows, such as" in str(finding)


def test_a_warning_does_not_stop_a_run(frame: pd.DataFrame, frame_source: Make) -> None:
    report = run(frame, frame_source(frame, "price", expectations=[expectation(severity="warning")]))
    assert report.success
    assert len(report.failed) == 1


def test_two_expectations_of_one_type_on_one_column_are_both_run(frame: pd.DataFrame, frame_source: Make) -> None:
    loose, strict = expectation(), expectation(severity="warning")
    loose["kwargs"] = {"column": "size", "min_value": 0}
    report = run(frame, frame_source(frame, "price", expectations=[loose, strict]))
    assert [f.success for f in report.findings if f.origin == "source"] == [True, False]


def test_an_expectation_on_a_column_that_is_not_there_fails(frame: pd.DataFrame, frame_source: Make) -> None:
    nowhere = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "szie"}}
    report = run(frame, frame_source(frame, "price", expectations=[nowhere]))
    assert not report.success
    assert 'The column "szie"' in str(report.failed[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            expectation("expect_column_values_to_be_betwen"),
            "unknown expectation 'expect_column_values_to_be_betwen'; did you mean",
        ),
        ({"kwargs": {}}, "unknown expectation ''"),
        ({**expectation(), "severety": "warning"}, "an expectation has no 'severety'; did you mean 'severity'"),
        ({**expectation(), "severity": "fatal"}, "has severity 'fatal'"),
        (expectation("expect_column_values_to_be_in_set"), "expect_column_values_to_be_in_set has wrong arguments"),
        (
            {"type": "expect_column_to_exist", "kwargs": {"colunm": "size"}},
            "expect_column_to_exist has wrong arguments",
        ),
    ],
)
def test_a_misspelt_expectation_is_an_error_and_not_a_pass(
    wrong: dict[str, Any], message: str, frame: pd.DataFrame, frame_source: Make
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(frame, frame_source(frame, "price", expectations=[wrong]))


def test_what_an_earlier_version_had_not_seen_is_a_warning(frame: pd.DataFrame, frame_source: Make) -> None:
    source = frame_source(frame, "price", keys=("id",))
    earlier = learn_signature(frame, source)
    later = frame.assign(size=frame["size"] * 2, zone=["d", *frame["zone"][1:]])
    later.loc[3, "size"] = None
    report = run(later, source, ("prices/3", earlier))
    assert report.success
    assert {(f.origin, f.expectation, f.column) for f in report.failed} == {
        ("prices/3", "expect_column_values_to_be_between", "size"),
        ("prices/3", "expect_column_values_to_not_be_null", "size"),
        ("prices/3", "expect_column_values_to_be_in_set", "zone"),
    }
    assert run(frame, source, ("prices/3", earlier)).failed == ()


@settings(max_examples=25)
@given(data=st.data())
def test_validation_and_the_signature_agree(data: st.DataObject) -> None:
    """What conforms passes validation; what validation finds wrong with a value does not conform."""
    declared = data.draw(signatures())
    frame = data.draw(frames(declared)).reset_index(drop=True)
    kinds = {f.name: f.kind for f in declared.features}
    source = SourceSpec(name="any", task=declared.task, target=declared.target, load=pd.DataFrame, features=kinds)
    signature = learn_signature(frame, source)
    conform(frame, signature)
    report = validate(frame, source, signature)
    assert report.failed == ()
    feature = data.draw(st.sampled_from(signature.features))
    wrong = {"number": "x", "integer": "x", "boolean": "x", "category": 3}[feature.kind]
    spoiled = frame.astype({feature.name: object})
    spoiled.at[0, feature.name] = wrong
    with pytest.raises(SignatureError):
        conform(spoiled, signature)
    assert ("expect_column_values_to_be_in_type_list", feature.name) in failed(validate(spoiled, source, signature))


def test_a_finding_reads_as_a_sentence() -> None:
    finding = Finding("expect_x", "size", "source", "critical", False, {"column": "size", "a": 1}, 1, (-3,), (7,))
    assert str(finding) == "[critical] expect_x on 'size' (a=1): 1 row, such as -3 (row 7)"
