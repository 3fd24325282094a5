"""Loading plugins: one entry point at a time, so that a broken one is named and the others work.

The manager wraps pluggy for two reasons. A plugin's hooks are called one by one, so that what each gave, and what
each broke, has an origin; and everything that is wrong is collected as a :class:`PluginProblem` instead of taking
the tool down.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any, Literal

import pluggy

from pegboard import defaults, hookspecs
from pegboard.calling import Caller, Limit, Limits, NotReturned
from pegboard.errors import PluginError, did_you_mean
from pegboard.specs import check_name

LOAD_VARIABLE = "PEGBOARD_LOAD_PLUGINS"
BUILT_IN = "built-in"

logger = logging.getLogger("pegboard")
#: Gets a :class:`HookCall` for each call of a plugin, when its level is DEBUG.
tracer = logging.getLogger("pegboard.trace")

About = Literal["import", "hooks", "name", "registration"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin: its entry point's name, and the distribution and version that brought it."""

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


@dataclass(frozen=True, slots=True)
class Origin:
    """What is true of a loaded plugin on this machine only: its entry point, its file, the seconds of its import."""

    entry_point: EntryPoint | None
    file: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class PluginProblem:
    """Why a plugin, or one of its registrations, is not on the board.

    ``about`` says what went wrong: ``import`` and ``hooks`` (and a ``name`` that two plugins claim) cost the plugin, a
    ``registration`` costs that alone. ``error`` is what was raised.
    """

    plugin: str
    reason: str
    about: About = "registration"
    error: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.reason}"


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a plugin, for the trace: how long it took, and what it gave or raised."""

    plugin: Plugin
    hook: str
    seconds: float
    outcome: str

    def __str__(self) -> str:
        return f"{self.plugin} {self.hook}: {self.seconds * 1000:.2f} ms, {self.outcome}"


class Manager:
    """The loaded plugins and the way to call their hooks.

    ``around_observers`` makes a context in which each observer is called.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self._origins: dict[str, Origin] = {}
        self._limits = Limits.of({}) if limits is None else limits
        self._caller = Caller()
        self._left: set[str] = set()
        self.problems: list[PluginProblem] = []
        self.around_observers: Callable[[], AbstractContextManager[None]] = nullcontext
        self.add(defaults, Plugin(BUILT_IN, "", ""))

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every loaded plugin, the built-in one first."""
        return tuple(self._plugins.values())

    def origin(self, plugin: Plugin) -> Origin:
        """Return where a loaded plugin came from."""
        return self._origins[plugin.name]

    def module(self, plugin: Plugin) -> object:
        """Return the module that a loaded plugin is."""
        return self._pm.get_plugin(plugin.name)

    def add(self, module: object, plugin: Plugin, entry_point: EntryPoint | None = None, seconds: float = 0.0) -> None:
        """Register a module as a plugin; raise :class:`PluginError` if its hooks are not ours.

        ``entry_point`` named the module, and its import took ``seconds``.
        """
        try:
            self._pm.register(module, name=plugin.name)
            self._pm.check_pending()
            self._refuse_wrappers(module)
        except (pluggy.PluginValidationError, PluginError) as error:
            if self._pm.is_registered(module):
                self._pm.unregister(module)
            raise PluginError(f"{error}{_meant(module)}") from error
        self._plugins[plugin.name] = plugin
        self._origins[plugin.name] = Origin(entry_point, getattr(module, "__file__", None), seconds)

    def load(self, entry_point: EntryPoint) -> None:
        """Import one entry point and register it; whatever it raises becomes a problem with its name."""
        plugin, start = describe(entry_point), time.perf_counter()
        about: About = "hooks"
        try:
            check_name(entry_point.name, "plugin name")
            about = "import"
            module = self._call(plugin, "import", entry_point.load, entry_point.module, self._limits.load)
            about, seconds = "hooks", time.perf_counter() - start
            self.add(module, plugin, entry_point, seconds)
        except (Exception, SystemExit) as error:
            reason = f"is not loaded: {_reason(error)}"
            self._report(PluginProblem(str(plugin), reason, about, error))

    def registrations(self, hook: str) -> Iterator[tuple[Plugin, Any]]:
        """Yield what each plugin registers through ``hook``, one by one, in a repeatable order."""
        for plugin, function in self._implementations(hook, {}):
            if plugin.name in self._left:
                continue
            try:
                given = self._call(plugin, hook, partial(_listed, function), _module(function), self._limits.load)
            except (Exception, SystemExit) as error:
                self._report(PluginProblem(str(plugin), f"{hook} failed: {_reason(error)}", "registration", error))
                continue
            yield from ((plugin, spec) for spec in given)

    def notify(self, event: str, **payload: Any) -> bool:
        """Tell every observer of ``event``; one that raises, or does not return, is logged by name and changes nothing.

        Returns whether all have taken it.
        """
        taken = True
        for plugin, function in self._implementations(event, payload):
            if plugin.name in self._left:
                taken = False
                continue
            try:
                with self.around_observers():
                    self._call(plugin, event, function, _module(function), self._limits.hook)
            except (Exception, SystemExit) as error:
                taken = False
                logger.warning("plugin %s failed in %s: %s", plugin, event, _reason(error))
                logger.debug("the traceback:", exc_info=error)
        return taken

    def _implementations(self, hook: str, payload: Mapping[str, Any]) -> Iterator[tuple[Plugin, partial[Any]]]:
        implementations = getattr(self._pm.hook, hook).get_hookimpls()
        for impl in sorted(implementations, key=lambda i: (i.plugin_name != BUILT_IN, i.plugin_name)):
            arguments = {name: payload[name] for name in impl.argnames}
            yield self._plugins[impl.plugin_name], partial(impl.function, **arguments)

    def _call(self, plugin: Plugin, hook: str, function: Callable[[], Any], module: str, limit: Limit) -> Any:
        """Call a plugin's code within a limit, and trace it; one that does not return is not called again."""
        start, outcome = time.perf_counter(), ""
        try:
            if plugin.name == BUILT_IN:
                given = function()
            else:
                given = self._caller.call(function, limit, module.partition(".")[0])
            outcome = f"gave {_shown(given)}"
        except BaseException as error:
            outcome = f"raised {_reason(error)}"
            if isinstance(error, NotReturned | KeyboardInterrupt):
                self._left.add(plugin.name)  # it is still at it
            raise
        finally:
            if tracer.isEnabledFor(logging.DEBUG):
                tracer.debug(HookCall(plugin, hook, time.perf_counter() - start, outcome))
        return given

    def _report(self, problem: PluginProblem) -> None:
        logger.debug("%s", problem.reason, exc_info=problem.error)
        self.problems.append(problem)

    def _refuse_wrappers(self, module: object) -> None:
        for caller in self._pm.get_hookcallers(module) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is module and (impl.hookwrapper or impl.wrapper):
                    raise PluginError(f"{caller.name} is a wrapper: hooks here register or observe, and wrap nothing")


def load_plugins(found: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] | None = None) -> Manager:
    """Build the manager: the built-ins, then every installed plugin that ``PEGBOARD_LOAD_PLUGINS`` lets in.

    Two distributions that claim one plugin name are both left out, and both are named.
    """
    environ = os.environ if environ is None else environ
    manager = Manager(Limits.of(environ))
    claims: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in entry_points(group=hookspecs.PROJECT) if found is None else found:
        claims[entry_point.name].append(entry_point)
    for name in _wanted(claims, environ):
        if len(claims[name]) == 1:
            manager.load(claims[name][0])
        else:
            origins = " and ".join(sorted(str(describe(claim)) for claim in claims[name]))
            reason = f"is not loaded: {origins} claim one name; uninstall one"
            manager.problems.append(PluginProblem(name, reason, "name"))
    return manager


def _wanted(claims: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
    if (chosen := environ.get(LOAD_VARIABLE)) is None:
        return sorted(claims)
    names = sorted({name.strip() for name in chosen.split(",") if name.strip()})
    for name in names:
        if name not in claims:
            raise PluginError(f"{LOAD_VARIABLE} names {name!r}, which is not installed{did_you_mean(name, claims)}")
    return names


def describe(entry_point: EntryPoint) -> Plugin:
    """Return the plugin that an entry point names, loaded or not."""
    distribution = entry_point.dist
    if distribution is None:
        return Plugin(entry_point.name, entry_point.value, "unknown version")
    return Plugin(entry_point.name, distribution.name, distribution.version)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def _listed(function: Callable[[], Any]) -> list[Any]:
    """Call a registration to its end: a generator's code runs when it is iterated over."""
    return list(function() or ())


def _module(function: partial[Any]) -> str:
    return str(getattr(function.func, "__module__", ""))


def _shown(given: Any) -> str:
    """Say in short what a call gave: of specs their names, of a module its own."""
    if isinstance(given, list):
        return ", ".join(str(getattr(spec, "name", type(spec).__name__)) for spec in given) or "nothing"
    return "nothing" if given is None else str(getattr(given, "__name__", type(given).__name__))


def _meant(module: object) -> str:
    """Say which hook a misspelt one resembles, or which arguments a hook has."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith(("register_", "after_"))}
    for name in dir(module):
        options = getattr(getattr(module, name, None), f"{hookspecs.PROJECT}_impl", None)
        if options is None:
            continue
        hook = options["specname"] or name
        if hook not in known:
            return did_you_mean(hook, known)
        arguments = signature(known[hook]).parameters
        for argument in signature(getattr(module, name)).parameters:
            if argument not in arguments:
                has = f"; {hook} has {', '.join(arguments) or 'no arguments'}"
                return did_you_mean(argument, arguments) or has
    return ""
