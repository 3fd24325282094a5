"""What must hold of a source: its table, what it says of it, and its errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from pegboard.errors import PegboardError
from pegboard.frames import canonical
from pegboard.learning import infer_kind, learn_signature
from pegboard.specs import SourceSpec
from pegboard.testing.kit import Failed, Subject, check, described
from pegboard.training.source import configured, load
from pegboard.training.validate import validate
from pegboard.training.values import Table

Loaded = tuple[SourceSpec, pd.DataFrame]
DECLARED = ("delivers", "declared-signature")


def loaded(subject: Subject) -> Loaded:
    """Return the configured source and its table, loaded anew."""
    options = subject.kit.options.get(subject.spec.name, {})
    try:
        source, left = configured(subject.spec, options)
        return source, load(source, left)
    except PegboardError as error:
        raise Failed(f"{error}{_needed(subject, options)}") from error


def _needed(subject: Subject, options: Mapping[str, Any]) -> str:
    if options:
        return f" (with {', '.join(f'{name}={value!r}' for name, value in options.items())})"
    name = subject.spec.name
    in_tests = f"conformance(…, options={{{name!r}: {{…}}}})"
    return f"; if it needs options, give them: --set {name}.OPTION=VALUE, or {in_tests}"


def _first(subject: Subject) -> Loaded:
    return subject.kit.keep(("source", subject.spec.name), lambda: loaded(subject))


@check("source", "delivers", "it delivers a table")
def delivers(subject: Subject) -> None:
    """With the options that are given."""
    _first(subject)


@check("source", "declared-signature", "the columns that it declares are there, and of their kinds", ("delivers",))
def declared_signature(subject: Subject) -> None:
    """Target, keys, and each feature's kind."""
    source, frame = _first(subject)
    if absent := [name for name in (source.target, *source.keys, *(source.features or {})) if name not in frame]:
        raise Failed(f"it declares columns that are not in the table: {', '.join(absent)}")
    for name, kind in (source.features or {}).items():
        _, bad = canonical(frame[name], kind)
        if bad.any():
            values = frame.loc[bad, name].head(3).tolist()
            raise Failed(f"{name!r} is declared as {kind}, and holds {infer_kind(frame[name])} values", repr(values))
    try:
        Table.of(frame, learn_signature(frame, source))
    except PegboardError as error:
        raise Failed(str(error)) from error


@check("source", "same-fingerprint", "loaded twice it delivers the same", DECLARED)
def same_fingerprint(subject: Subject) -> None:
    """By the fingerprint that a run's record has."""
    first, second = (Table.of(f, learn_signature(f, s)) for s, f in (_first(subject), loaded(subject)))
    if first.fingerprint != second.fingerprint:
        raise Failed("loaded twice, it delivers two tables: order the rows, and draw nothing without a seed")


@check("source", "expectations", "its expectations are understood, and hold for its own table", DECLARED)
def expectations(subject: Subject) -> None:
    """Those of severity critical; and what any training needs."""
    source, frame = _first(subject)
    try:
        report = validate(frame, source, learn_signature(frame, source))
    except PegboardError as error:
        raise Failed(str(error)) from error
    if not report.success:
        raise Failed("\n".join(str(finding) for finding in report.failed if finding.severity == "critical"))


@check("source", "errors", "options that mean nothing are refused with a DataError that says so")
def errors(subject: Subject) -> str | None:
    """An option that there is not, and texts (paths, addresses, names) behind which there is nothing."""
    options = subject.kit.options.get(subject.spec.name, {})
    call: Callable[..., Any] = subject.spec.load or subject.spec.configure
    _refused(lambda: configured(subject.spec, {**options, "no_such_option": 1}), "an unknown option", must=True)
    nothing = str(subject.kit.directory() / "nothing-is-here")
    texts = {name: nothing for name, value in _values(call, options).items() if isinstance(value, str)}
    if not texts:
        return "it has no options that are texts"
    _refused(lambda: _called(subject.spec, {**options, **texts}), _written(texts), must=False)
    return None


def _values(call: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter in inspect.signature(call).parameters.items()}
    return {**defaults, **options}


def _called(spec: SourceSpec, options: Mapping[str, Any]) -> None:
    """Call the author's own functions: the stage `source` would wrap whatever they raise."""
    if spec.load is not None:
        spec.load(**options)
    elif spec.configure is not None and (whole := spec.configure(**options)).load is not None:
        whole.load()


def _refused(call: Callable[[], object], what: str, *, must: bool) -> None:
    try:
        call()
    except PegboardError:
        return
    except (Exception, SystemExit) as error:
        raise Failed(f"{what} raises {described(error)}: raise pegboard.DataError, saying what to do") from error
    if must:
        raise Failed(f"{what} is taken without a word")


def _written(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
