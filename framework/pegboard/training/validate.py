"""Stage 2: hold the table against what is expected of it, before anything is trained.

Three sets of expectations are run together by Great Expectations: what the source declares, what any model needs of
a table with this signature, and, as warnings, what an earlier version's training data looked like. This is the only
module that knows Great Expectations, and it is imported when the stage runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from pegboard.errors import ConfigError, did_you_mean
from pegboard.report import Finding, Severity, ValidationReport
from pegboard.signature import LARGEST_INTEGER, LARGEST_NUMBER, Signature
from pegboard.specs import Kind, SourceSpec

#: Fewer rows than this cannot be split into folds and a hold-out that say anything.
FEWEST_ROWS = 20
MOST_EXAMPLES = 5

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int")
_FLOATS = ("float16", "float32", "float64", "float")

#: What NumPy and Python call each kind. A column of floats may hold integers: one null makes it so.
TYPES: Mapping[Kind, tuple[str, ...]] = {
    "number": _FLOATS + _INTEGERS,
    "integer": _INTEGERS + _FLOATS,
    "boolean": ("bool",),
    "category": ("str",),
}

Expectation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Expected:
    origin: str
    configuration: Expectation


def validate(
    frame: pd.DataFrame,
    source: SourceSpec,
    signature: Signature,
    previous: tuple[str, Signature] | None = None,
) -> ValidationReport:
    """Run every expectation and return what was found; the report's ``success`` says whether training may go on.

    ``previous`` is an earlier version's name and signature: nulls, ranges and categories that its data did not have
    are warnings. Raises :class:`ConfigError` for an expectation that Great Expectations does not know or that has
    wrong arguments: a misspelt expectation must not pass.
    """
    expected = [_Expected("source", e) for e in source.expectations]
    expected += [_Expected("signature", e) for e in structure(signature)]
    if previous is not None:
        version, earlier = previous
        expected += [_Expected(version, e) for e in observations(earlier)]
    return ValidationReport(len(frame), tuple(_run(frame, expected, f"source {source.name!r}")))


def structure(signature: Signature) -> Iterator[Expectation]:
    """Yield what any training needs: the columns, their types and limits, a whole target, unique keys, enough rows."""
    yield _expect("expect_table_row_count_to_be_between", min_value=FEWEST_ROWS)
    for name in (*signature.keys, *(f.name for f in signature.features), signature.target):
        yield _expect("expect_column_to_exist", column=name)
    for feature in signature.features:
        yield _expect("expect_column_values_to_be_in_type_list", column=feature.name, type_list=[*TYPES[feature.kind]])
        if feature.kind in ("number", "integer"):
            limit = LARGEST_INTEGER if feature.kind == "integer" else LARGEST_NUMBER
            yield _between(feature.name, -limit, limit)
    for name in (*signature.keys, signature.target):
        yield _expect("expect_column_values_to_not_be_null", column=name)
    if signature.task == "regression":
        yield _expect("expect_column_values_to_be_in_type_list", column=signature.target, type_list=[*TYPES["number"]])
        yield _between(signature.target, -LARGEST_NUMBER, LARGEST_NUMBER)
    else:
        yield _expect("expect_column_unique_value_count_to_be_between", column=signature.target, min_value=2)
    if len(signature.keys) == 1:
        yield _expect("expect_column_values_to_be_unique", column=signature.keys[0])
    elif signature.keys:
        yield _expect("expect_compound_columns_to_be_unique", column_list=[*signature.keys])


def observations(signature: Signature) -> Iterator[Expectation]:
    """Yield what one training table looked like, to warn when another differs: nulls, ranges and categories."""
    for feature in signature.features:
        if not feature.nullable:
            yield _expect("expect_column_values_to_not_be_null", "warning", column=feature.name)
        if feature.kind == "category" and feature.categories:
            yield _expect(
                "expect_column_values_to_be_in_set",
                "warning",
                column=feature.name,
                value_set=[*feature.categories],
            )
        elif feature.kind in ("number", "integer") and feature.minimum is not None:
            yield _between(feature.name, feature.minimum, feature.maximum, "warning")


def _expect(type_: str, severity: Severity = "critical", **kwargs: Any) -> Expectation:
    return {"type": type_, "kwargs": kwargs, "severity": severity}


def _between(column: str, low: float, high: float | None, severity: Severity = "critical") -> Expectation:
    type_ = "expect_column_values_to_be_between"
    return _expect(type_, severity, column=column, min_value=low, max_value=high)


def _run(frame: pd.DataFrame, expected: Sequence[_Expected], where: str) -> Iterator[Finding]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # telemetry, on by default; read at import
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # As objects: adding configurations would let one on the same column replace another of its type.
    expectations = [_build(item.configuration, number, where) for number, item in enumerate(expected)]
    suite = gx.ExpectationSuite(name="pegboard", expectations=expectations)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("pegboard").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": _numpy_columns(frame)})
    results = batch.validate(suite, result_format="SUMMARY").results
    found = {_number(result): result for result in results}
    for number, item in enumerate(expected):
        yield _finding(item, found[number])


def _numpy_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with pandas' own dtypes (texts, categoricals, nullable numbers) as objects.

    Great Expectations then looks at the type of each value, and can count and show the wrong ones.
    """
    extension = [name for name, dtype in frame.dtypes.items() if not isinstance(dtype, np.dtype)]
    return frame.astype(dict.fromkeys(extension, object))


def _build(expectation: Expectation, number: int, where: str) -> Any:
    """Build one expectation, refusing what Great Expectations would pass over or explain badly."""
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known = ("type", "kwargs", "severity")
    for key in expectation:
        if key not in known:
            raise ConfigError(f"{where}: an expectation has no {key!r}{did_you_mean(key, known)}")
    name = expectation.get("type", "")
    implementations = list_registered_expectation_implementations()
    if name not in implementations:
        raise ConfigError(f"{where}: unknown expectation {name!r}{did_you_mean(name, implementations)}")
    if expectation.get("severity", "critical") not in get_args(Severity):
        raise ConfigError(f"{where}: {name} has severity {expectation['severity']!r}: write {get_args(Severity)}")
    try:
        return ExpectationConfiguration(
            type=name,
            kwargs=dict(expectation.get("kwargs", {})),
            severity=expectation.get("severity", "critical"),
            meta={"pegboard": number},
        ).to_domain_obj()
    except (GreatExpectationsError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {name} has wrong arguments: {error}") from error


def _number(result: Any) -> int:
    """Results come in an order of their own; the number that each was given tells them apart."""
    number: int = result.expectation_config.meta["pegboard"]
    return number


def _finding(item: _Expected, result: Any) -> Finding:
    expectation, outcome = item.configuration, result.result
    kwargs = expectation.get("kwargs", {})
    examples = outcome.get("partial_unexpected_list", []) if not result.success else []
    rows = outcome.get("partial_unexpected_index_list") or [] if not result.success else []
    return Finding(
        expectation=expectation["type"],
        column=kwargs.get("column"),
        origin=item.origin,
        severity=expectation.get("severity", "critical"),
        success=bool(result.success),
        kwargs={name: _plain(value) for name, value in kwargs.items()},
        unexpected=None if result.success else outcome.get("unexpected_count"),
        examples=tuple({repr(value): value for value in map(_plain, examples)}.values())[:MOST_EXAMPLES],
        rows=tuple(int(row) for row in rows[:MOST_EXAMPLES]),
        detail="" if result.success else _detail(result),
    )


def _detail(result: Any) -> str:
    observed = result.result.get("observed_value")
    messages = list(_exceptions(result.exception_info))
    if messages:
        return "; ".join(dict.fromkeys(messages))
    return "" if observed is None else f"found {_plain(observed)!r}"


def _exceptions(information: Mapping[str, Any]) -> Iterable[str]:
    """Great Expectations gives one exception, or one for each metric by its id."""
    each = [information] if "exception_message" in information else information.values()
    for one in each:
        if one.get("raised_exception"):
            yield str(one["exception_message"]).removeprefix("Error: ")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON cannot say becomes its text."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return str(value)
