"""Any space of Pegboard's is a space of Optuna's, and what comes of it lies within it, as plain data."""

from __future__ import annotations

import json
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegboard import Choice, Float, Integer, PegboardError
from pegboard.space import Range
from pegboard_optuna.spaces import distributions

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**31), 2**31)
PLAIN = st.none() | st.booleans() | st.text(max_size=5) | WHOLE | FINITE


def made(kind: Any, *arguments: Any) -> Range | None:
    """Return a range, or nothing where Pegboard refuses it."""
    try:
        found: Range = kind(*arguments)
    except PegboardError:
        return None
    return found


def ranges() -> st.SearchStrategy[Range]:
    tiny = st.builds(lambda low, width: made(Float, low, low + width), FINITE, st.floats(0, 1e-300))
    floats = st.builds(made, st.just(Float), FINITE, FINITE, st.booleans())
    integers = st.builds(made, st.just(Integer), WHOLE, WHOLE, st.booleans())
    near = st.builds(lambda low, log: made(Integer, low, low + 1, log), WHOLE, st.booleans())
    choices = st.builds(lambda values: made(Choice, *values), st.lists(PLAIN, min_size=1, max_size=5))
    return st.one_of(tiny, floats, integers, near, choices).filter(lambda found: found is not None)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(space=st.dictionaries(st.sampled_from("abcd"), ranges(), min_size=1), seed=st.integers(0, 2**32 - 1))
def test_every_value_lies_in_its_range_and_survives_json(space: dict[str, Range], seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Optuna's densities may divide by zero at a range's ends; what it draws there is sound.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="optuna.samplers")
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=2))
        for number in range(4):
            asked = study.ask(distributions(space))
            study.tell(asked, float(number))
    for trial in study.trials:
        assert trial.params.keys() == space.keys()
        assert all(value in space[name] for name, value in trial.params.items())
        assert json.loads(json.dumps(trial.params)) == trial.params


def test_a_kind_of_range_that_optuna_does_not_know_is_refused_by_name() -> None:
    class Shape(Range):
        def __contains__(self, value: object) -> bool:
            return False

        def to_dict(self) -> dict[str, Any]:
            return {}

    with pytest.raises(PegboardError, match="the tuner 'optuna' does not know Shape, the space of 'form'"):
        distributions({"form": Shape()})
