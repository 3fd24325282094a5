"""The names of a new plugin, of its distribution, module and entry point: checked before anything is written."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points, packages_distributions
from keyword import iskeyword

from pegboard.errors import PluginError
from pegboard.hookspecs import PROJECT
from pegboard.manager import BUILT_IN
from pegboard.specs import check_name

#: Longer ones would break the lines of the templates.
LONGEST = 40

# Packaging takes one separator at a time, and none at the end; a module's name does not begin with a digit.
_DISTRIBUTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = f"{PROJECT}-"


@dataclass(frozen=True, slots=True)
class Names:
    """What a new plugin is called.

    ``distribution`` is what pip installs (``pegboard-tides``), ``module`` what Python imports (``pegboard_tides``), and
    ``plugin`` the entry point's name: the distribution's, without a leading ``pegboard-`` (``tides``).
    """

    distribution: str
    module: str
    plugin: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Derive the names, and raise :class:`PluginError` for one that cannot be had, or that somebody has."""
        check_name(name, "plugin name")
        if _DISTRIBUTION.fullmatch(name) is None:
            raise PluginError(f"plugin name {name!r} is not allowed: begin with a letter; single hyphens stand inside")
        if len(name) > LONGEST:
            raise PluginError(f"plugin name {name!r} has {len(name)} characters: take {LONGEST} at most")
        made = cls(name, name.replace("-", "_"), name.removeprefix(_PREFIX))
        if taken := _module_taken(made.module) or _plugin_taken(made.plugin):
            raise PluginError(f"plugin name {name!r} is not free: {taken}; choose another name")
        return made


def _module_taken(module: str) -> str:
    """Say what else a module's name means, or nothing."""
    if iskeyword(module):
        return f"its module would be called {module!r}, which is a keyword of Python"
    if module in sys.stdlib_module_names:
        return f"its module would be called {module!r}, as one of Python's standard library is"
    if owners := packages_distributions().get(module):
        return f"the module {module!r} belongs to the installed distribution {' and '.join(sorted(set(owners)))}"
    return ""


def _plugin_taken(plugin: str) -> str:
    """Say who has an entry point of that name, or nothing."""
    if plugin == BUILT_IN:
        return f"the plugin {plugin!r} is Pegboard itself"
    owners = sorted({found.dist.name for found in entry_points(group=PROJECT, name=plugin) if found.dist is not None})
    return f"the plugin {plugin!r} comes with the installed distribution {' and '.join(owners)}" if owners else ""
