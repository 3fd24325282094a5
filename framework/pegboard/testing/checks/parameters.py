"""What must hold of a model's parameters and of its search space."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn.base import clone

from pegboard.space import Choice, Float, Integer, Range
from pegboard.testing.kit import Failed, Subject, attempting, check, described
from pegboard.testing.properties import holds
from pegboard.testing.strategies import points
from pegboard.testing.tables import fitted, plain


@check("model", "clone", "scikit-learn can clone it, and get and set its parameters")
def clones(subject: Subject) -> None:
    """`clone` is how tools of scikit-learn make a new one."""
    estimator = subject.spec.make()
    try:
        copy = clone(estimator)
        before, after = _told(estimator), _told(copy)
        estimator.set_params(**estimator.get_params(deep=False))
    except Exception as error:
        remedy = "__init__ has to store each parameter as it is, under its own name"
        raise Failed(f"clone raised {described(error)} ({remedy})") from error
    if lost := sorted(name for name in before if before[name] != after.get(name)):
        raise Failed(f"a clone has another {lost[0]}: {after.get(lost[0])}, not {before[lost[0]]}")
    if changed := sorted(name for name, value in _told(estimator).items() if before.get(name) != value):
        raise Failed(f"set_params with what get_params gave changes {changed[0]}")


@check("model", "parameters", "each parameter of make reaches the estimator", ("clone",))
def parameters(subject: Subject) -> str | None:
    """Each is given another value than its default where one can be guessed."""
    make, space = subject.spec.make, subject.spec.space
    usual, guessed = _told(make()), []
    for parameter in inspect.signature(make).parameters.values():
        for value in _others(parameter, space.get(parameter.name)):
            with attempting(f"make({parameter.name}={value!r})"):
                told = _told(make(**{parameter.name: value}))
            if told == usual:
                raise Failed(f"make({parameter.name}={value!r}) makes the same as make(): it does not arrive")
            guessed.append(parameter.name)
            break
    return f"tried: {', '.join(guessed)}" if guessed else "no parameter's values could be guessed"


def _told(estimator: Any) -> dict[str, str]:
    return {name: repr(value) for name, value in estimator.get_params(deep=True).items()}


def _others(parameter: inspect.Parameter, values: Range | None) -> Iterator[Any]:
    """Yield a value that is not the default and should be one: of the space, or next to the default."""
    default = parameter.default
    if values is not None:
        yield from (end for end in ends(values) if end != default)
    elif parameter.name == "random_state":
        yield 9
    elif isinstance(default, bool):
        yield not default
    elif isinstance(default, int):
        yield default + 1
    elif isinstance(default, float):
        yield default / 2 if default else 0.5


def ends(values: Range) -> tuple[Any, ...]:
    """Return the ends of a range, or every choice."""
    if isinstance(values, Float | Integer):
        return values.low, values.high
    if isinstance(values, Choice):
        return values.values
    raise TypeError(f"{values!r} is no range of pegboard.space")


@check("model", "search-space", "make takes what its search space holds, and the model learns at the ends", ("learns",))
def search_space(subject: Subject) -> str | None:
    """All lowest values together, all highest, and each choice."""
    space = subject.spec.space
    if not space:
        return "it declares none"
    holds(lambda point: _makes(subject, point), points(space))
    corners: list[Mapping[str, Any]] = [{name: ends(values)[at] for name, values in space.items()} for at in (0, -1)]
    choices = [{name: value} for name, values in space.items() if isinstance(values, Choice) for value in values.values]
    frame = plain(subject.spec.task)
    for params in [*corners, *choices]:
        _makes(subject, params)
        with attempting(f"with {_written(params)}, the model"):
            fitted(subject, frame, params=params).answers(frame)
    return None


def _makes(subject: Subject, params: Mapping[str, Any]) -> None:
    with attempting(f"make({_written(params)})"):
        subject.spec.make(**params)


def _written(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items())
