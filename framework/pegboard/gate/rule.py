"""What the gate's rules are given, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pegboard.bundle import Bundle
    from pegboard.catalog import Catalog
    from pegboard.environments import Environment
    from pegboard.registry import Registry, Version

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a rule holds; ``found`` and ``limit`` say in words and figures what was measured and what is allowed.

    ``figures`` are the numbers behind, for the record: plain JSON.
    """

    passed: bool
    found: str
    limit: str = ""
    figures: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Promotion:
    """A version on its way to an environment: what a rule may look at.

    ``champion`` is the version that production's newest gate passed, ``None`` if there is none yet. ``previous`` is the
    environment that ``environment.after`` names. ``data`` is a file of newer labelled rows to compare on, if one was
    given.
    """

    registry: Registry
    version: Version
    bundle: Bundle
    champion: Version | None
    environment: Environment
    catalog: Catalog
    previous: Environment | None = None
    data: Path | None = None
    _made: dict[Callable[[Promotion], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, make: Callable[[Promotion], T]) -> T:
        """Return ``make(promotion)``, made for the first rule that asks: a table is loaded once."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome, as the record keeps it."""

    rule: str
    passed: bool
    found: str
    limit: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate has found: it is passed when every rule holds."""

    version: str
    digest: str
    environment: str
    champion: str | None
    findings: tuple[Finding, ...]
    forced: bool = False

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return all(finding.passed for finding in self.findings)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The rules that do not hold."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the ledger and for ``--json``."""
        return {**asdict(self), "findings": [asdict(finding) for finding in self.findings], "passed": self.passed}
