"""Everything Pegboard raises on purpose.

Each message says what is wrong, where, and what to do next. Nothing here speaks of HTTP or of exit codes:
the command line and the server each map these errors once, at their own edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pegboard.report import ValidationReport


class PegboardError(Exception):
    """The root of every error that a user can act on."""


class ConfigError(PegboardError):
    """A setting is unknown, of the wrong type, or names something that is not there."""


class PluginError(PegboardError):
    """A plugin, or something that one registers, cannot be used."""


class DataError(PegboardError):
    """A source could not deliver a usable table."""


class ValidationFailed(DataError):
    """The data breaks a critical expectation; the report is in :attr:`report`."""

    def __init__(self, message: str, report: ValidationReport) -> None:
        super().__init__(message)
        self.report = report


class TrainingError(PegboardError):
    """No candidate could be trained, compared or chosen."""


class BundleError(PegboardError):
    """A bundle is incomplete, altered, or made for another environment."""


class ReplayError(BundleError):
    """A bundle's model does not answer its stored rows as it did when it was published."""


class RegistryError(PegboardError):
    """The registry does not hold what was asked for, or holds something it should not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one value: where it is and what would be right.

    ``row`` counts from 0 (``None``: the table or request as a whole); ``field`` is a column's name.
    """

    row: int | None
    field: str | None
    problem: str

    def __str__(self) -> str:
        place = ", ".join(
            part for part in (None if self.row is None else f"row {self.row}", self.field) if part is not None
        )
        return f"{place}: {self.problem}" if place else self.problem


class SignatureError(DataError):
    """Rows do not fit a signature; every problem found is in :attr:`problems`."""

    shown = 10

    def __init__(self, problems: Sequence[Problem], total: int | None = None) -> None:
        self.problems = tuple(problems)
        self.total = len(self.problems) if total is None else total
        lines = [str(problem) for problem in self.problems[: self.shown]]
        if self.total > len(lines):
            lines.append(f"… and {self.total - len(lines)} more")
        super().__init__("the rows do not fit the signature:\n  " + "\n  ".join(lines))


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into a :class:`PluginError` that says whose code it was."""
    try:
        yield
    except PegboardError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} failed: {type(error).__name__}: {error}") from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known word, or ``""`` where none is near."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else ""
