"""From ``pegboard.toml``, the environment and the command line to one frozen :class:`Experiment`.

Later wins: the file's tables, then ``PEGBOARD_<SETTING>`` variables, then flags.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from pegboard.environments import BUILT_IN, Environment, make_environment, typed
from pegboard.errors import ConfigError, PluginError, did_you_mean
from pegboard.specs import check_name
from pegboard.tuning import Budget

FILE = "pegboard.toml"
PREFIX = "PEGBOARD_"
DEFAULT_REGISTRY = "registry"
#: Variables that are no settings of an experiment: which plugins load and how long they may take, who acts, what is
#: served.
OTHER_VARIABLES = (
    "PEGBOARD_LOAD_PLUGINS",
    "PEGBOARD_ACTOR",
    "PEGBOARD_MODEL",
    "PEGBOARD_CACHE",
    "PEGBOARD_ENV",
    "PEGBOARD_UNPICKLE",
    "PEGBOARD_STRICT",
    "PEGBOARD_LOAD_TIMEOUT",
    "PEGBOARD_HOOK_TIMEOUT",
)
#: Settings that say where things are, and nothing of what was trained.
PLACES = ("registry", "signing_key")
#: How candidates are kept from each other, and from the run.
ISOLATIONS = ("process", "thread")
#: Settings on which no result depends.
OPERATIONAL = (*PLACES, "isolation", "fit_timeout")

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment: what to train on, who competes, how they are measured, and where the winner goes.

    ``models`` empty means all registered models of the source's task. ``scorer`` empty means ``rmse`` for regression
    and ``log-loss`` for classification. ``holdout`` is the share of rows, in [0, 0.5], that no candidate sees.
    ``signing_key`` is the file of the private key that signs what is published (empty: nothing is signed).
    ``tune`` is what ``tuner`` may spend on the models' search spaces (:meth:`pegboard.tuning.Budget.parse`; empty:
    nothing is tuned). With ``isolation`` ``"process"`` candidates are fitted in processes of their own, each fold for
    ``fit_timeout`` seconds at most; with ``"thread"`` in this one, where nothing can be stopped.
    """

    name: str
    source: str
    models: tuple[str, ...] = ()
    scorer: str = ""
    preprocessor: str = "tabular"
    splitter: str = "k-fold"
    criterion: str = "best-mean"
    folds: int = 5
    holdout: float = 0.2
    seed: int = 0
    registry: str = DEFAULT_REGISTRY
    signing_key: str = ""
    tune: str = ""
    tuner: str = "optuna"
    isolation: str = "process"
    fit_timeout: int = 3600
    source_options: Mapping[str, Any] = field(default_factory=dict)
    model_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            check_name(self.name, "experiment name")
        except PluginError as error:
            raise ConfigError(str(error)) from None
        if not self.registry:
            raise ConfigError("registry is empty: name a directory, or s3://bucket/prefix")
        if self.folds < 2:
            raise ConfigError(f"folds is {self.folds}: a comparison needs at least 2")
        if not 0 <= self.holdout <= 0.5:
            raise ConfigError(f"holdout is {self.holdout}: it is a share of the rows, between 0 and 0.5")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed is {self.seed}: it is an integer between 0 and 2**32 - 1")
        if self.isolation not in ISOLATIONS:
            raise ConfigError(f"isolation is {self.isolation!r}: it is one of {', '.join(ISOLATIONS)}")
        if self.fit_timeout < 1:
            raise ConfigError(f"fit_timeout is {self.fit_timeout}: it is a number of seconds, at least 1")
        if self.tune:
            Budget.parse(self.tune)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a manifest, without what no result depends on."""
        tables = {"source_options": dict(self.source_options)}
        tables["model_params"] = {name: dict(params) for name, params in self.model_params.items()}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OPERATIONAL}
        return {**plain, "models": list(self.models), **tables}


#: What ``[experiment]`` may set, with each setting's type.
SETTINGS: Mapping[str, Any] = MappingProxyType(
    {k: v for k, v in get_type_hints(Experiment).items() if k not in ("source_options", "model_params")}
)
TABLES = ("experiment", "source", "models", "environments")


def load_experiment(
    path: Path | None = None,
    flags: Mapping[str, Any] = _EMPTY,
    source_options: Mapping[str, Any] = _EMPTY,
    environ: Mapping[str, str] | None = None,
) -> Experiment:
    """Return the experiment that file, environment and flags describe together.

    ``path`` must exist if given; otherwise ``pegboard.toml`` is read from the working directory if it is there. Where
    flags or environment name another source than the file, only the file's ``registry`` and ``signing_key`` apply.
    Flags that are ``None`` or empty are not set. Raises :class:`~pegboard.errors.ConfigError`.
    """
    file, tables = _tables(path)
    settings = _checked(tables.get("experiment", {}), f"{file}: [experiment]")
    options, params = tables.get("source", {}), _model_params(tables.get("models", {}), file)
    above = _from_environment(os.environ if environ is None else environ)
    above |= _checked({k: v for k, v in flags.items() if v not in (None, "", ())}, "the command line")
    if above.get("source", settings.get("source")) != settings.get("source"):
        # Another source is another experiment: what the file says of its own would be wrong for it.
        settings = {name: settings[name] for name in PLACES if name in settings}
        options, params = {}, {}
    settings |= above
    if "source" not in settings:
        names_it = f'write [experiment] source = "…" into {file}, or give --source'
        raise ConfigError(f"no source is named: {names_it} (`pegboard plugins list` shows those installed)")
    return Experiment(
        **{"name": settings["source"], **settings},
        source_options={**options, **source_options},
        model_params=params,
    )


def registry_location(path: Path | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return where the registry is, for commands that need no experiment."""
    file, tables = _tables(path)
    settings = _checked(tables.get("experiment", {}), f"{file}: [experiment]")
    environ = os.environ if environ is None else environ
    return environ.get(f"{PREFIX}REGISTRY") or str(settings.get("registry", DEFAULT_REGISTRY))


def experiment_name(path: Path | None = None) -> str:
    """Return the experiment's name as the file has it, for commands that need no more of it; or an empty text."""
    file, tables = _tables(path)
    settings = _checked(tables.get("experiment", {}), f"{file}: [experiment]")
    return str(settings.get("name", settings.get("source", "")))


def load_environment(
    name: str, path: Path | None = None, environ: Mapping[str, str] | None = None, *, registry: str | None = None
) -> Environment:
    """Return the environment of that name: what ``[environments.NAME]`` says, the rest as for everybody.

    ``staging`` and ``production`` exist without being written down. ``registry`` is where versions are unless the
    environment's table says otherwise (default: the experiment's). Raises :class:`~pegboard.errors.ConfigError`.
    """
    file, tables = _tables(path)
    written = tables.get("environments", {})
    known = {**BUILT_IN, **written}
    if name not in known:
        raise ConfigError(f"no environment {name!r}{did_you_mean(name, known) or _known(tuple(known))} (in {file})")
    where = f"{file}: [environments.{name}]"
    if not isinstance(written.get(name, {}), dict):
        raise ConfigError(f"{where} must be a table")
    location = registry or registry_location(path, environ)
    made = make_environment(name, written.get(name, {}), where, registry=location, model=experiment_name(path))
    if made.after and made.after not in known:
        raise ConfigError(f"{where}: after is {made.after!r}{did_you_mean(made.after, known) or _known(tuple(known))}")
    return made


def _tables(path: Path | None) -> tuple[Path, Mapping[str, Any]]:
    """Return the file, and what is in it; nothing if it is the default one and not there."""
    file = path or Path(FILE)
    return file, _read(file) if path or file.exists() else {}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for name, table in tables.items():
        if name not in TABLES:
            raise ConfigError(f"{path}: unknown table [{name}]{did_you_mean(name, TABLES) or _known(TABLES)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} must be a table: write [{name}]")
    return tables


def _model_params(table: Mapping[str, Any], file: Path) -> dict[str, Mapping[str, Any]]:
    for name, params in table.items():
        if not isinstance(params, dict):
            raise ConfigError(f"{file}: [models] {name} must be a table of parameters: write [models.{name}]")
    return dict(table)


def _checked(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name in settings:
        if name not in SETTINGS:
            raise ConfigError(f"{where}: unknown setting {name!r}{did_you_mean(name, SETTINGS) or _known(SETTINGS)}")
    return {name: typed(value, SETTINGS[name], f"{where}: {name}") for name, value in settings.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    settings = {}
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name in SETTINGS and text:
            settings[name] = _parsed(name, text, variable)
        elif variable.startswith(PREFIX) and name not in SETTINGS and variable not in OTHER_VARIABLES:
            # Plugins have variables of their own; only a near miss is a typo.
            for near in get_close_matches(name, SETTINGS, n=1, cutoff=0.8):
                raise ConfigError(f"unknown variable {variable}; did you mean {PREFIX}{near.upper()}?")
    return settings


def _parsed(name: str, text: str, variable: str) -> Any:
    wanted = SETTINGS[name]
    if wanted == tuple[str, ...]:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    try:
        return wanted(text)
    except ValueError:
        raise ConfigError(f"{variable} must be of type {wanted.__name__}, not {text!r}") from None


def _known(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    return f"; known: {', '.join(names)}"
