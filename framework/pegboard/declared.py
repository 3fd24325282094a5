"""What a person says of a table that no plugin knows: for sources whose task and target come with their options.

A source reads its table as a ``pyarrow.Table``; :class:`Declaration` makes a whole :class:`~pegboard.SourceSpec` of it,
inferring what was not said. pandas and pyarrow are imported when a table is read.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegboard.errors import ConfigError, DataError, PluginError, did_you_mean
from pegboard.specs import KINDS, TASKS, Kind, SourceSpec, Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

logger = logging.getLogger("pegboard")

#: An integer target with no more distinct values than this may be meant as classes.
FEW_VALUES = 20


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The columns' roles as the options say them.

    ``task`` empty is inferred: texts and booleans are classes, numbers are not. ``features`` maps columns to kinds, or
    lists columns, whose kinds are inferred; empty, every column is a feature that is neither key nor target nor in
    ``drop``. ``remedy`` says how this source's users convert a column.
    """

    target: str
    task: Task | str = ""
    keys: tuple[str, ...] = ()
    features: Mapping[str, Kind] | tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    expectations: Sequence[Mapping[str, Any]] = ()
    remedy: str = field(default="convert it", kw_only=True)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The features whose kinds were said."""
        return self.features if isinstance(self.features, Mapping) else {}

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Return those of a table's columns that are used; raise :class:`DataError` for one that is not there."""
        if unnamed := [place for place, name in enumerate(names, 1) if name == "" and "" not in self.drop]:
            raise DataError(f'column {unnamed[0]} has no name: name it, or leave it out with drop = [""]')
        for role in ("target", "keys", "features", "drop"):
            for name in _texts(getattr(self, role)):
                if name not in names:
                    raise DataError(f"{role}: there is no column {name!r}{did_you_mean(name, names) or _shown(names)}")
        chosen = {self.target, *self.keys, *self.features} if self.features else set(names) - set(self.drop)
        used = [name for name in names if name in chosen]
        if twice := sorted({name for name in used if used.count(name) > 1}):
            raise DataError(f"columns that come more than once: {', '.join(twice)}: rename one of each")
        return used

    def source(self, name: str, read: Callable[[], tuple[pa.Table, str]]) -> SourceSpec:
        """Return the whole source; ``read`` gives its table and says where that came from.

        The table is read here only if something has to be inferred from it, and is then what the source's first
        ``load`` returns: it is not read twice. Later calls read it again, since nothing is kept beyond the first.
        """
        table = _Once(lambda: self._frame(name, read))
        task, features = self.task, self.kinds
        if not task or (self.features and not features):
            from pegboard.learning import infer_kind

            frame = table.look()
            task = task or self._inferred_task(frame[self.target])
            features = features or {column: infer_kind(frame[column]) for column in self.features}
        try:
            return SourceSpec(
                name=name,
                task=task,  # type: ignore[arg-type]  # checked when it was declared
                target=self.target,
                keys=self.keys,
                features=features or None,
                expectations=self.expectations,
                load=table.take,
            )
        except PluginError as error:
            raise ConfigError(str(error)) from None

    def _frame(self, name: str, read: Callable[[], tuple[pa.Table, str]]) -> pd.DataFrame:
        from pegboard.columns import checked_frame

        try:
            table, origin = read()
            frame = checked_frame(table, self)
        except DataError as error:
            raise DataError(f"source {name!r}: {error}") from None
        frame.attrs["origin"] = origin
        return frame

    def _inferred_task(self, target: pd.Series[Any]) -> Task:
        from pegboard.learning import infer_kind

        if target.isna().all():
            raise DataError(f"target {self.target!r} has no values")
        kind, distinct = infer_kind(target), target.nunique()
        if kind == "integer" and distinct <= FEW_VALUES:
            logger.warning(
                "target %r has %d distinct integers and is taken as a number (regression); "
                'if they are classes, set task = "classification" (--set task=classification)',
                self.target,
                distinct,
            )
        return "classification" if kind in ("category", "boolean") else "regression"


def declaration(where: str, remedy: str, signature: str = "", **said: Any) -> Declaration:
    """Check what the options say, and what the file ``signature`` (TOML or JSON) says; each may be said once.

    Raises :class:`ConfigError` with ``where`` in front.
    """
    settings = {name: value for name, value in said.items() if value not in ("", (), [], {}, None)}
    if signature:
        written = _read(Path(signature), where)
        if twice := sorted(written.keys() & settings.keys()):
            raise ConfigError(f"{where}: {', '.join(twice)} is in {signature} and among the options: say it once")
        settings = {**written, **settings}
    if not isinstance(settings.get("target"), str):
        raise ConfigError(f"{where}: name the column that is to be predicted: --set target=COLUMN")
    if settings.get("task", "") not in ("", *TASKS):
        raise ConfigError(f"{where}: task is {settings['task']!r}: it is one of {', '.join(TASKS)}")
    for name in ("keys", "drop"):
        settings[name] = names(settings.get(name, ()), f"{where}: {name}")
    settings["features"] = _features(settings.get("features", ()), f"{where}: features")
    _refuse_overlap(settings, where)
    return Declaration(**settings, remedy=remedy)


def names(value: Any, where: str) -> tuple[str, ...]:
    """Return one text or several as a tuple; raise :class:`ConfigError` for anything else."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f'{where} is {value!r}: write a text, or several as ["…", "…"]')
    return tuple(given)


def _features(value: Any, where: str) -> Mapping[str, Kind] | tuple[str, ...]:
    if not isinstance(value, Mapping):
        return names(value, where)
    for name, kind in value.items():
        if kind not in KINDS:
            raise ConfigError(f"{where}: {name!r} has kind {kind!r}: it is one of {', '.join(KINDS)}")
    return dict(value)


def _refuse_overlap(settings: Mapping[str, Any], where: str) -> None:
    roles = {"target": (settings["target"],), **{name: tuple(settings[name]) for name in ("keys", "features", "drop")}}
    seen: dict[str, str] = {}
    for role, columns in roles.items():
        for column in columns:
            if column in seen:
                raise ConfigError(f"{where}: {column!r} is in {seen[column]} and in {role}: it is only one of them")
            seen[column] = role


def _read(path: Path, where: str) -> dict[str, Any]:
    known = [f.name for f in fields(Declaration) if f.name != "remedy"]
    try:
        text = path.read_text(encoding="utf-8")
        written = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:  # what json, tomllib and decoding raise are ValueErrors
        raise ConfigError(f"{where}: cannot read the signature {path}: {error}") from None
    if not isinstance(written, dict):
        raise ConfigError(f"{where}: the signature {path} is no table of settings: write target, task, keys, features")
    for name in written:
        if name not in known:
            hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            raise ConfigError(f"{where}: the signature {path} has an unknown setting {name!r}{hint}")
    return written


class _Once:
    """A table that is looked at and then taken, and read once for both."""

    def __init__(self, read: Callable[[], pd.DataFrame]) -> None:
        self._read = read
        self._kept: pd.DataFrame | None = None

    def look(self) -> pd.DataFrame:
        self._kept = self.take()
        return self._kept

    def take(self) -> pd.DataFrame:
        kept, self._kept = self._kept, None
        return self._read() if kept is None else kept


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _shown(names: Sequence[str]) -> str:
    more = ", …" if len(names) > 10 else ""
    return f"; the columns are: {', '.join(map(repr, names[:10]))[:400]}{more}"
