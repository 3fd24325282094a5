"""The values that hooks return: what a plugin author fills in, and nothing else.

Every spec is frozen and cheap. Factories (``make``, ``load``) import their libraries inside, so that listing
what is installed imports neither pandas nor scikit-learn.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pegboard.errors import ConfigError, PluginError, did_you_mean
from pegboard.space import Range

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from pegboard.bundle import Bundle
    from pegboard.gate.rule import Outcome, Promotion
    from pegboard.leaderboard import Leaderboard
    from pegboard.registry import Version
    from pegboard.signature import Signature
    from pegboard.signing import Trust
    from pegboard.tuning import Search, Tuned

Task = Literal["regression", "classification"]
TASKS: tuple[Task, ...] = ("regression", "classification")

Kind = Literal["number", "integer", "boolean", "category"]
KINDS: tuple[Kind, ...] = ("number", "integer", "boolean", "category")

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def check_name(name: object, what: str = "name") -> str:
    """Return ``name`` if it may name a thing (and so become a path segment); raise :class:`PluginError` if not."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise PluginError(f"{what} {name!r} is not allowed: use lower-case letters, digits and hyphens")
    return name


def check_options(function: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Raise :class:`ConfigError` if ``options`` are not keyword arguments of ``function``.

    A factory's own parameters are its documentation of what may be configured, so a typo is found here
    and not somewhere inside a library.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) or f"; known: {', '.join(known) or 'none'}"
            raise ConfigError(f"{where} has no option {option!r}{hint}")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all specs share: a name matching ``[a-z0-9][a-z0-9-]*`` and a line about what it is."""

    kind: ClassVar[str]
    hook: ClassVar[str]

    name: str
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, f"{self.kind} name")


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """Where a table comes from, and what its author knows about it.

    ``load(**options)`` returns a ``pandas.DataFrame``; its keyword arguments are what ``[source]`` in
    ``pegboard.toml`` may set, and ``frame.attrs["origin"]`` may say where the rows came from. ``keys`` identify a
    row and are never features. ``features`` maps each feature to its kind; without it every other column is one,
    its kind inferred. ``expectations`` are Great Expectations as plain data:
    ``{"type": "expect_…", "kwargs": {…}, "severity": "critical" | "warning" | "info"}``, critical by default.

    A source of any table, whose task and target are known only with its options, has nothing but ``configure``:
    ``configure(**options)`` returns the whole :class:`SourceSpec`, whose ``load`` takes no options.
    """

    kind: ClassVar[str] = "source"
    hook: ClassVar[str] = "register_sources"

    task: Task = "regression"
    target: str = ""
    load: Callable[..., pd.DataFrame] | None = None
    keys: tuple[str, ...] = ()
    features: Mapping[str, Kind] | None = None
    expectations: Sequence[Mapping[str, Any]] = ()
    configure: Callable[..., SourceSpec] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_task(self.task, f"source {self.name!r}")
        if (self.configure is None) == (self.load is None):
            raise PluginError(f"source {self.name!r}: give it either load, with task and target, or configure")
        if self.load is not None and not self.target:
            raise PluginError(f"source {self.name!r}: name the column that is the target")
        if not isinstance(self.keys, tuple):
            raise PluginError(f"source {self.name!r}: keys is {self.keys!r}: write a tuple of columns")
        for feature, kind in (self.features or {}).items():
            if kind not in KINDS:
                raise PluginError(f"source {self.name!r}: {feature!r} has kind {kind!r}, not one of {', '.join(KINDS)}")
            if feature in (self.target, *self.keys):
                raise PluginError(f"source {self.name!r}: {feature!r} cannot be a feature and a key or the target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What a model wants of its preprocessing."""

    scaling: bool = False
    #: ``False`` for a model that takes sparse matrices too: it gets one where most of the matrix is zeros.
    dense: bool = True
    #: For a model that knows missing values and categories itself: it gets a ``pandas.DataFrame`` of float64 columns
    #: (missing: NaN) and of pandas' categorical columns, and nothing is imputed, encoded or scaled.
    native: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A candidate: a factory of unfitted scikit-learn estimators for one task.

    ``make(**params)`` takes what ``[models.NAME]`` in ``pegboard.toml`` sets and returns a new estimator; every
    ``random_state`` it has is set from the experiment's seed. ``complexity`` orders models from simple to
    complex for criteria that prefer the simpler of two equals (linear 1, kernels 5, forests 10). A ``baseline``
    competes, and is shown, but is never chosen. ``space`` says what a tuner may try: for some of ``make``'s parameters
    a :class:`~pegboard.space.Float`, :class:`~pegboard.space.Integer` or :class:`~pegboard.space.Choice`.
    """

    kind: ClassVar[str] = "model"
    hook: ClassVar[str] = "register_models"

    task: Task
    make: Callable[..., Any]
    wants: Wants = field(default_factory=Wants)
    complexity: float = 5.0
    baseline: bool = False
    space: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_task(self.task, f"model {self.name!r}")
        for name, values in self.space.items():
            if not isinstance(values, Range):
                raise PluginError(f"model {self.name!r}: space[{name!r}] is {values!r}: write Float, Integer or Choice")
        if self.space:
            try:
                check_options(self.make, self.space, f"model {self.name!r}: its search space")
            except ConfigError as error:
                raise PluginError(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class ScorerSpec(Spec):
    """A measure of how good predictions are.

    ``make()`` returns a scikit-learn scorer, ``scorer(estimator, X, y) -> float`` with greater meaning better
    (so an error is negated). ``greater_is_better=False`` says that it was negated, and tables show it positive.
    """

    kind: ClassVar[str] = "scorer"
    hook: ClassVar[str] = "register_scorers"

    tasks: tuple[Task, ...]
    make: Callable[[], Callable[[Any, Any, Any], float]]
    greater_is_better: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for task in self.tasks:
            check_task(task, f"scorer {self.name!r}")


@dataclass(frozen=True, kw_only=True)
class PreprocessorSpec(Spec):
    """From a signature's columns to what a model can be fitted on.

    ``make(signature, wants)`` returns an unfitted scikit-learn transformer. It sees numbers, integers and
    booleans as float64 (missing: NaN) and categories as object columns of ``str`` (missing: NaN).
    """

    kind: ClassVar[str] = "preprocessor"
    hook: ClassVar[str] = "register_preprocessors"

    make: Callable[[Signature, Wants], Any]


@dataclass(frozen=True, kw_only=True)
class SplitterSpec(Spec):
    """How the training part is cut into folds: ``make(task, folds, seed)`` returns a scikit-learn splitter."""

    kind: ClassVar[str] = "splitter"
    hook: ClassVar[str] = "register_splitters"

    make: Callable[[Task, int, int], Any]


@dataclass(frozen=True, kw_only=True)
class CriterionSpec(Spec):
    """Which candidates may win.

    ``choose(leaderboard)`` returns the names that are equally good, the preferred first; the current champion
    stays if it is among them. Failed candidates and baselines are not on the board it is given.
    """

    kind: ClassVar[str] = "criterion"
    hook: ClassVar[str] = "register_criteria"

    choose: Callable[[Leaderboard], Sequence[str]]


class Kernel(Protocol):
    """A fitted pipeline compiled for speed: it answers as the pipeline does, and only sooner.

    Threads call it at the same time, so a call keeps its buffers to itself. For a row that the pipeline refuses the
    answer is NaN. Every kernel is compared with its pipeline when a bundle is loaded
    (:meth:`pegboard.predictor.Predictor.load`).
    """

    def one(self, values: Sequence[Any]) -> float | list[float]:
        """Answer one row: a ``float`` for regression, a list of one probability for each class for classification.

        ``values`` come in signature order, as JSON has them and checked: ``float``, ``int``, ``bool``, ``str``, and
        ``None`` for what is missing. There may be more of them (keys), which are to be ignored.
        """

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Answer a table: float64 of shape (rows,) for regression, (rows, classes) for classification.

        ``columns`` come in signature order and canonical form (:mod:`pegboard.frames`): float64, or object arrays of
        ``str``, NaN being what is missing in both.
        """


@dataclass(frozen=True, kw_only=True)
class KernelSpec(Spec):
    """A compiled predictor for pipelines that end in one class of estimator.

    ``estimator`` is that class as ``module:Class``, under its own name; it is imported when a pipeline ends in a class
    of that name. Subclasses do not count: they may predict otherwise. ``build(pipeline, signature)`` returns the kernel
    of a fitted pipeline, or ``None`` if that is not one it knows.
    """

    kind: ClassVar[str] = "kernel"
    hook: ClassVar[str] = "register_kernels"

    estimator: str
    build: Callable[[Any, Signature], Kernel | None]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.estimator, str) or CLASS.fullmatch(self.estimator) is None:
            raise PluginError(f"kernel {self.name!r}: estimator is {self.estimator!r}: write 'module:Class'")


@dataclass(frozen=True, kw_only=True)
class RuleSpec(Spec):
    """A rule of a promotion's gate.

    ``check(promotion)`` returns an :class:`~pegboard.gate.rule.Outcome`: whether the rule holds, and by how much. What
    it raises counts as a rule that does not hold.
    """

    kind: ClassVar[str] = "rule"
    hook: ClassVar[str] = "register_rules"

    check: Callable[[Promotion], Outcome]


class Versions(Protocol):
    """Where a served version is found: a :class:`~pegboard.registry.Registry`, or what a resolver makes."""

    def resolve(self, reference: str) -> Version:
        """Return the version that a name means now."""

    def open(self, version: Version) -> Bundle:
        """Open its bundle."""


@dataclass(frozen=True, kw_only=True)
class ResolverSpec(Spec):
    """Another place where versions have names: all that start with ``prefix``, such as ``models:/``.

    ``make(registry, trusted)`` returns the :class:`Versions` there; ``registry`` is the location of Pegboard's own, and
    bundles are refused that none of ``trusted`` has signed (``None``: any are taken).
    """

    kind: ClassVar[str] = "resolver"
    hook: ClassVar[str] = "register_resolvers"

    prefix: str
    make: Callable[[str, Trust | None], Versions]


@dataclass(frozen=True, kw_only=True)
class TunerSpec(Spec):
    """A way to search a model's space: ``tune(search)`` tries parameters within the budget and returns the best."""

    kind: ClassVar[str] = "tuner"
    hook: ClassVar[str] = "register_tuners"

    tune: Callable[[Search], Tuned]


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A subcommand of ``pegboard``: ``load`` is the ``module:attribute`` of a click command, imported when called."""

    kind: ClassVar[str] = "command"
    hook: ClassVar[str] = "register_commands"

    load: str


def check_task(task: object, where: str) -> None:
    """Raise :class:`PluginError` unless ``task`` is one of :data:`TASKS`."""
    if task not in TASKS:
        raise PluginError(f"{where}: task {task!r} is not one of {', '.join(TASKS)}")
