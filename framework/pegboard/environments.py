"""What ``[environments.NAME]`` says: where versions go, what they must prove first, and how they are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from pegboard.errors import ConfigError, did_you_mean

Require = Literal["better", "not-worse"]

#: The environments that there are without being written down, and the one that a version passes before.
BUILT_IN: Mapping[str, str] = {"staging": "", "production": "staging"}

RULES = (
    "order",
    "digests",
    "validation",
    "plugins",
    "size",
    "baseline",
    "champion",
    "serving",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a version must prove: ``rules`` names who asks, the other settings are their limits.

    ``require`` is ``better`` (than the champion, at this ``confidence``) or ``not-worse`` (by more than ``margin``, a
    share of the champion's score). ``min_rows`` is how many rows a comparison takes, ``resamples`` how many of them are
    drawn to say how sure it is. ``max_latency_ms`` is the median of one row over HTTP, in milliseconds; sizes are in
    MiB. ``max_warnings`` counts expectations that do not hold.
    """

    rules: tuple[str, ...] = RULES
    require: Require = "not-worse"
    margin: float = 0.02
    confidence: float = 0.95
    min_rows: int = 30
    resamples: int = 1000
    max_latency_ms: float = 100.0
    max_size_mib: float = 512.0
    max_memory_mib: float = 2048.0
    max_warnings: int = 10

    def __post_init__(self) -> None:
        if self.require not in get_args(Require):
            raise ConfigError(f"require is {self.require!r}: write {' or '.join(map(repr, get_args(Require)))}")
        if not 0 <= self.margin < 1:
            raise ConfigError(f"margin is {self.margin}: it is a share of the champion's score, from 0 to below 1")
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"confidence is {self.confidence}: it is a probability, from 0.5 to below 1")
        if self.min_rows < 2:
            raise ConfigError(f"min_rows is {self.min_rows}: a comparison needs at least 2")
        if self.resamples < 100:
            raise ConfigError(f"resamples is {self.resamples}: fewer than 100 say nothing of how sure a comparison is")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A place that versions are promoted to.

    ``alias`` is what points, in the registry at ``registry``, at the version that it has; ``model`` is the experiment's
    name. ``after`` names the environment that a version must have been in before. ``trusted_keys`` are files of public
    keys, one of which must have signed. ``serving`` are settings of ``pegboard serve``.
    """

    name: str
    registry: str
    alias: str
    model: str = ""
    after: str = ""
    trusted_keys: tuple[str, ...] = ()
    gate: Gate = field(default_factory=Gate)
    serving: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What it serves: ``model@alias``."""
        return f"{self.model}@{self.alias}"


_TYPES = {
    "environment": {n: t for n, t in get_type_hints(Environment).items() if n not in ("name", "gate", "serving")},
    "gate": get_type_hints(Gate),
}


def make_environment(name: str, table: Mapping[str, Any], where: str, *, registry: str, model: str) -> Environment:
    """Return the environment that a table describes; ``registry`` and ``model`` are the experiment's.

    Raises :class:`~pegboard.errors.ConfigError` that names ``where`` the table is.
    """
    table = dict(table)
    gate, serving = (_table(table.pop(part, {}), f"{where[:-1]}.{part}]") for part in ("gate", "serving"))
    defaults = {"registry": registry, "alias": name, "model": model, "after": BUILT_IN.get(name, "")}
    settings: dict[str, Any] = defaults | _checked(table, _TYPES["environment"], where)
    limits = _checked(gate, _TYPES["gate"], f"{where[:-1]}.gate]")
    try:
        return Environment(name=name, gate=Gate(**limits), serving=serving, **settings)
    except ConfigError as error:
        raise ConfigError(f"{where[:-1]}.gate]: {error}") from None


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table")
    return value


def _checked(table: Mapping[str, Any], types: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name in table:
        if name not in types:
            hint = did_you_mean(name, types) or f"; known: {', '.join(types)}"
            raise ConfigError(f"{where}: unknown setting {name!r}{hint}")
    return {name: typed(value, types[name], f"{where}: {name}") for name, value in table.items()}


def typed(value: Any, wanted: Any, what: str) -> Any:
    """Return a setting's value as its type wants it; raise :class:`ConfigError` naming ``what`` if it is another."""
    if wanted is float and type(value) is int:
        return float(value)
    if wanted == tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{what} must be a list of names, not {value!r}")
    if wanted == Require:
        wanted = str
    if type(value) is not wanted:
        raise ConfigError(f"{what} must be of type {wanted.__name__}, not {value!r}")
    return value
