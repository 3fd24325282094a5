"""Properties that hypothesis tries to break, the same examples each time; what it finds is shrunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from pegboard.testing.kit import Failed


def holds(body: Callable[..., None], *strategies: st.SearchStrategy[Any], examples: int = 12) -> None:
    """Call ``body`` with drawn values; raise the :class:`Failed` of the smallest example for which it fails."""
    run = given(*strategies)(body)
    tuned = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        tuned(run)()
    except Flaky as error:
        raise Failed("the same table is answered now so, now otherwise") from error
