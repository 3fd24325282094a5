"""Finding what is to be checked: a plugin by its own name, or by that of the distribution that brought it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from pegboard import hookspecs
from pegboard.errors import PluginError, did_you_mean
from pegboard.manager import LOAD_VARIABLE, Manager, Plugin, load_plugins
from pegboard.testing.kit import Kit, Options, Thing


def loaded_kit(name: str, options: Options, found: Iterable[EntryPoint] | None = None) -> Kit:
    """Load the installed plugins, the named one whatever ``PEGBOARD_LOAD_PLUGINS`` says, and return its kit."""
    installed = list(entry_points(group=hookspecs.PROJECT) if found is None else found)
    return make_kit(name, load_plugins(installed, _environment(name, installed)), options, installed)


def make_kit(name: str, manager: Manager, options: Options, found: Iterable[EntryPoint] | None = None) -> Kit:
    """Return the kit for the plugins of that name; raise :class:`PluginError` where there is none, or it is broken."""
    installed = list(entry_points(group=hookspecs.PROJECT) if found is None else found)
    plugins = _named(name, manager, installed)
    kit = Kit(manager, options)
    kit.things = [thing for plugin in plugins for thing in _things(kit, plugin)]
    return kit


def _environment(name: str, installed: Iterable[EntryPoint]) -> dict[str, str]:
    environ = dict(os.environ)
    if LOAD_VARIABLE in environ:
        wanted = [e.name for e in installed if name in _names(e)]
        environ[LOAD_VARIABLE] = ",".join([environ[LOAD_VARIABLE], *wanted])
    return environ


def _names(entry_point: EntryPoint) -> tuple[str, ...]:
    return (entry_point.name, entry_point.dist.name) if entry_point.dist else (entry_point.name,)


def _named(name: str, manager: Manager, installed: Iterable[EntryPoint]) -> list[Plugin]:
    loaded = {plugin.name: plugin for plugin in manager.plugins}
    claims = [entry_point.name for entry_point in installed if name in _names(entry_point)]
    wanted = claims or [plugin.name for plugin in manager.plugins if name in (plugin.name, plugin.distribution)]
    if not wanted:
        known = sorted({*loaded, *(known for entry_point in installed for known in _names(entry_point))})
        hint = did_you_mean(name, known) or f"; installed: {', '.join(known)}"
        raise PluginError(f"no plugin or distribution {name!r}{hint}")
    for missing in wanted:
        if missing not in loaded:
            raise PluginError(_why_not(missing, manager))
    return [loaded[plugin] for plugin in dict.fromkeys(wanted)]


def _why_not(name: str, manager: Manager) -> str:
    reasons = [str(problem) for problem in manager.problems if problem.plugin.split(" ")[0] == name]
    left_out = f"plugin {name!r} is not loaded: {LOAD_VARIABLE} leaves it out; add {name} to it"
    return f"{'; '.join(reasons)} (`pegboard plugins doctor` says more)" if reasons else left_out


def _things(kit: Kit, plugin: Plugin) -> Iterator[Thing]:
    yield Thing("plugin", plugin.name, plugin)
    for entry in kit.catalog.entries():
        if entry.plugin == plugin:
            yield Thing(entry.spec.kind, entry.spec.name, plugin, entry.spec)
    for event in observed(kit.manager.module(plugin)):
        yield Thing("observer", event, plugin)


def observed(module: object) -> list[str]:
    """Return the events that a plugin's module observes."""
    marks = {name: getattr(found, f"{hookspecs.PROJECT}_impl", None) for name, found in vars(module).items()}
    hooks = [mark.get("specname") or name for name, mark in marks.items() if mark]
    return sorted(hook for hook in hooks if hook.startswith("after_"))
