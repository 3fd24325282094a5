"""The conformance kit's own parts: a check, a case (one check of one thing), and what came of it.

A check is a small function with a name and a summary. It is given a :class:`Subject`, returns nothing (or a note), and
raises :class:`Failed` with what is wrong and, where there is one, the smallest table that shows it.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pegboard.catalog import Catalog
from pegboard.errors import ConfigError, did_you_mean
from pegboard.manager import Manager, Plugin
from pegboard.specs import Spec

T = TypeVar("T")

Options = Mapping[str, Mapping[str, Any]]


class Failed(Exception):
    """A check does not hold: what is wrong, and an example that shows it (a small table, a text)."""

    def __init__(self, problem: str, example: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.example = example


@dataclass(frozen=True)
class Check:
    """One thing that must hold of every ``kind`` of thing.

    ``needs`` names checks of the same thing without which this one would say nothing; where one of them fails, this one
    is not run. ``run(subject)`` raises :class:`Failed`, and may return a note.
    """

    kind: str
    name: str
    summary: str
    run: Callable[[Subject], str | None]
    needs: tuple[str, ...] = ()


#: Every check, in the order in which they are run, by kind and name.
CHECKS: dict[tuple[str, str], Check] = {}


def check(kind: str, name: str, summary: str, needs: Sequence[str] = ()) -> Callable[[T], T]:
    """Put a function among the :data:`CHECKS`."""

    def register(function: T) -> T:
        CHECKS[kind, name] = Check(kind, name, summary, function, tuple(needs))  # type: ignore[arg-type]
        return function

    return register


@dataclass(frozen=True)
class Thing:
    """What is checked: something that a plugin registers, an observer of its, or the plugin itself."""

    kind: str
    name: str
    plugin: Plugin
    spec: Spec | None = None


@dataclass(frozen=True)
class Case:
    """One check of one thing."""

    thing: Thing
    check: Check

    def __str__(self) -> str:
        return f"{self.thing.kind}:{self.thing.name}:{self.check.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one case. ``passed`` is ``None`` for one that was not run, and ``problem`` says why."""

    plugin: str
    kind: str
    name: str
    check: str
    summary: str
    passed: bool | None
    problem: str = ""
    example: str = ""
    note: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for ``--json`` and for pytest's reports."""
        return asdict(self)


@dataclass
class Kit:
    """One conformance run: the board, the things that are checked, and what was found so far.

    ``options`` are those of sources, by the sources' names.
    """

    manager: Manager
    options: Options
    things: Sequence[Thing] = ()
    _findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    _kept: dict[object, Any] = field(default_factory=dict)

    @cached_property
    def catalog(self) -> Catalog:
        """What all loaded plugins gave."""
        return Catalog(self.manager)

    @cached_property
    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="pegboard-conformance-")

    def directory(self) -> Path:
        """Return a new directory, which is gone when the kit is."""
        return Path(tempfile.mkdtemp(dir=self._scratch.name))

    def cases(self, only: Collection[str] = ()) -> list[Case]:
        """Return the cases, or those of the checks that ``only`` names; raise :class:`ConfigError` for unknown ones."""
        known = sorted({name for _, name in CHECKS})
        for name in only:
            if name not in known:
                hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
                raise ConfigError(f"no check {name!r}{hint}")
        found = (Case(thing, check) for thing in self.things for check in CHECKS.values() if check.kind == thing.kind)
        return [case for case in found if not only or case.check.name in only]

    def run(self, case: Case) -> Finding:
        """Run one case, those that it needs before it; each is run once."""
        key = (case.thing.kind, case.thing.name, case.check.name)
        if key not in self._findings:
            self._findings[key] = self._run(case)
        return self._findings[key]

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, made once: a fitted model is used by many checks."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept

    def _run(self, case: Case) -> Finding:
        thing, check = case.thing, case.check
        start = time.perf_counter()
        for name in check.needs:
            if not self.run(Case(thing, CHECKS[check.kind, name])).passed:
                return self._finding(case, None, start, f"not run: it needs {name!r}, which does not hold")
        try:
            with _quiet():
                note = check.run(Subject(self, thing)) or ""
        except Failed as failed:
            return self._finding(case, False, start, failed.problem, failed.example)
        except (Exception, SystemExit) as error:  # whatever a plugin's code raises
            return self._finding(case, False, start, described(error))
        return self._finding(case, True, start, note=note)

    def _finding(
        self, case: Case, passed: bool | None, start: float, problem: str = "", example: str = "", note: str = ""
    ) -> Finding:
        thing, check = case.thing, case.check
        named = (thing.plugin.name, thing.kind, thing.name, check.name, check.summary)
        return Finding(*named, passed, problem, example, note, time.perf_counter() - start)


@dataclass(frozen=True)
class Subject:
    """What a check is given: the thing, and the kit it may use."""

    kit: Kit
    thing: Thing

    @property
    def spec(self) -> Any:
        """The spec that the plugin registered."""
        return self.thing.spec


def imported(path: str) -> Any:
    """Return what ``module:attribute`` names."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


def described(error: BaseException) -> str:
    """Say what was raised, in one line of it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def attempting(what: str, example: Callable[[], str] = str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into :class:`Failed`, saying what was attempted and with what."""
    try:
        yield
    except Failed:
        raise
    except (Exception, SystemExit) as error:
        raise Failed(f"{what} raised {described(error)}", example()) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep a plugin's warnings to itself, and standard output for the findings."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield
