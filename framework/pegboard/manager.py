"""Loading plugins: one entry point at a time, so that a broken one is named and the others work.

The manager wraps pluggy for two reasons. A plugin's hooks are called one by one, so that what each gave, and what
each broke, has an origin; and everything that is wrong is collected as a :class:`PluginProblem` instead of taking
the tool down.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from pegboard import defaults, hookspecs
from pegboard.errors import PluginError, did_you_mean
from pegboard.specs import check_name

LOAD_VARIABLE = "PEGBOARD_LOAD_PLUGINS"
BUILT_IN = "built-in"

logger = logging.getLogger("pegboard")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin: its entry point's name, and the distribution and version that brought it."""

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


@dataclass(frozen=True, slots=True)
class PluginProblem:
    """Why a plugin, or one of its registrations, is not on the board."""

    plugin: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.reason}"


class Manager:
    """The loaded plugins and the way to call their hooks."""

    def __init__(self) -> None:
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self.problems: list[PluginProblem] = []
        self.add(defaults, Plugin(BUILT_IN, "", ""))

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every loaded plugin, the built-in one first."""
        return tuple(self._plugins.values())

    def add(self, module: object, plugin: Plugin) -> None:
        """Register a module as a plugin; raise :class:`PluginError` if its hooks are not ours."""
        try:
            self._pm.register(module, name=plugin.name)
            self._pm.check_pending()
            self._refuse_wrappers(module)
        except (pluggy.PluginValidationError, PluginError) as error:
            if self._pm.is_registered(module):
                self._pm.unregister(module)
            raise PluginError(f"{error}{self._misspelt(module)}") from error
        self._plugins[plugin.name] = plugin

    def load(self, entry_point: EntryPoint) -> None:
        """Import one entry point and register it; whatever it raises becomes a problem with its name."""
        plugin = _describe(entry_point)
        try:
            check_name(entry_point.name, "plugin name")
            self.add(entry_point.load(), plugin)
        except (Exception, SystemExit) as error:
            self._report(plugin, f"is not loaded: {_reason(error)}", error)

    def registrations(self, hook: str) -> Iterator[tuple[Plugin, Any]]:
        """Yield what each plugin registers through ``hook``, one by one, in a repeatable order."""
        for plugin, call in self._calls(hook, {}):
            try:
                given = list(call() or ())
            except (Exception, SystemExit) as error:
                self._report(plugin, f"{hook} failed: {_reason(error)}", error)
                continue
            yield from ((plugin, spec) for spec in given)

    def notify(self, event: str, **payload: Any) -> bool:
        """Tell every observer of ``event``; one that raises is logged by name and changes nothing.

        Returns whether none has raised.
        """
        taken = True
        for plugin, call in self._calls(event, payload):
            try:
                call()
            except (Exception, SystemExit) as error:
                taken = False
                logger.warning("plugin %s failed in %s: %s", plugin, event, _reason(error))
                logger.debug("the traceback:", exc_info=error)
        return taken

    def _calls(self, hook: str, payload: Mapping[str, Any]) -> Iterator[tuple[Plugin, Callable[[], Any]]]:
        implementations = getattr(self._pm.hook, hook).get_hookimpls()
        for impl in sorted(implementations, key=lambda i: (i.plugin_name != BUILT_IN, i.plugin_name)):
            arguments = {name: payload[name] for name in impl.argnames}
            yield self._plugins[impl.plugin_name], partial(impl.function, **arguments)

    def _report(self, plugin: Plugin, reason: str, error: BaseException) -> None:
        logger.debug("%s", reason, exc_info=error)
        self.problems.append(PluginProblem(str(plugin), reason))

    def _refuse_wrappers(self, module: object) -> None:
        for caller in self._pm.get_hookcallers(module) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is module and (impl.hookwrapper or impl.wrapper):
                    raise PluginError(f"{caller.name} is a wrapper: hooks here register or observe, and wrap nothing")

    def _misspelt(self, module: object) -> str:
        """Say which hook a misspelt one resembles."""
        known = [name for name in vars(hookspecs) if name.startswith(("register_", "after_"))]
        for name in dir(module):
            if name not in known and hasattr(getattr(module, name, None), f"{hookspecs.PROJECT}_impl"):
                return did_you_mean(name, known)
        return ""


def load_plugins(found: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] | None = None) -> Manager:
    """Build the manager: the built-ins, then every installed plugin that ``PEGBOARD_LOAD_PLUGINS`` lets in.

    Two distributions that claim one plugin name are both left out, and both are named.
    """
    manager = Manager()
    claims: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in entry_points(group=hookspecs.PROJECT) if found is None else found:
        claims[entry_point.name].append(entry_point)
    for name in _wanted(claims, os.environ if environ is None else environ):
        if len(claims[name]) == 1:
            manager.load(claims[name][0])
        else:
            origins = " and ".join(sorted(str(_describe(claim)) for claim in claims[name]))
            manager.problems.append(PluginProblem(name, f"is not loaded: {origins} claim one name; uninstall one"))
    return manager


def _wanted(claims: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
    if (chosen := environ.get(LOAD_VARIABLE)) is None:
        return sorted(claims)
    names = sorted({name.strip() for name in chosen.split(",") if name.strip()})
    for name in names:
        if name not in claims:
            raise PluginError(f"{LOAD_VARIABLE} names {name!r}, which is not installed{did_you_mean(name, claims)}")
    return names


def _describe(entry_point: EntryPoint) -> Plugin:
    distribution = entry_point.dist
    if distribution is None:
        return Plugin(entry_point.name, entry_point.value, "unknown version")
    return Plugin(entry_point.name, distribution.name, distribution.version)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
