"""``conformance(plugin)``: the test function of a plugin's own tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pegboard.testing.kit import Kit

#: Under this name a test's report carries its finding.
PROPERTY = "pegboard"


def conformance(
    plugin: str, *, options: Mapping[str, Mapping[str, Any]] | None = None, only: Collection[str] = ()
) -> Callable[..., None]:
    """Return a parametrised test: one case for each check of each thing that a plugin registers.

    ``plugin`` is the plugin's name or its distribution's. ``options`` are those of sources that need some, by the
    sources' names: ``{"files": {"path": "table.csv", "target": "price"}}``. ``only`` names the checks to run (default:
    all). Raises :class:`~pegboard.errors.PluginError` if there is no such plugin, or if it cannot be loaded.

    Write it into a file that pytest collects: ``test_conformance = conformance("my-models")``.
    """
    import pytest

    kit = open_kit(plugin, options or {})
    cases = kit.cases(only)

    def test_conformance(case: Any, record_property: Callable[[str, object], None]) -> None:
        from pegboard.testing.checklist import explained

        finding = kit.run(case)
        record_property(PROPERTY, finding.to_dict())
        if finding.passed is None:
            pytest.skip(finding.problem)
        if not finding.passed:
            pytest.fail(explained(finding), pytrace=False)

    each: Callable[..., None] = pytest.mark.parametrize("case", cases, ids=map(str, cases))(test_conformance)
    return each


def open_kit(plugin: str, options: Mapping[str, Mapping[str, Any]], found: Iterable[EntryPoint] | None = None) -> Kit:
    """Load a plugin and every check there is; see :func:`pegboard.testing.board.loaded_kit`."""
    from pegboard.testing import checks  # noqa: F401 - each registers itself
    from pegboard.testing.board import loaded_kit

    return loaded_kit(plugin, options, found)
