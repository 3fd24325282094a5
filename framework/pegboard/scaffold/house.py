"""A plugin as a whole small distribution: which templates it is made of, and how it gets onto the disk."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import MappingProxyType

from pegboard.errors import ConfigError
from pegboard.hookspecs import PROJECT
from pegboard.provenance import library_version
from pegboard.scaffold.names import Names

SHARED = "shared"
SUFFIX = ".jinja"

#: How what each kind registers is used at once; ``{plugin}`` is the plugin's name.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "model": "pegboard train",
        "scorer": "pegboard train --scorer {plugin}-within-10-percent",
        "source": "pegboard train --source {plugin}",
        "tracker": "pegboard train",
        "preprocessor": "pegboard train --preprocessor {plugin}-ordinal",
    }
)


@dataclass(frozen=True, slots=True)
class House:
    """A new plugin: where it stands, its files (paths from there), and the commands that come next."""

    directory: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]


def build(name: str, kind: str, parent: Path) -> House:
    """Write a plugin of a kind (one of :data:`KINDS`) into ``parent/name``: all of it, or nothing.

    Raises :class:`~pegboard.errors.PluginError` for a name that cannot be had, and
    :class:`~pegboard.errors.ConfigError` where the directory is not free, or jinja2 is missing.
    """
    names = Names.of(name)
    target = parent / name
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target} is there already, and nothing was written: choose another name, or --directory")
    files = render(names, kind)
    try:
        _write(files, target)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}; choose another --directory") from error
    return House(target, tuple(sorted(files)), _commands(names, kind, target))


def render(names: Names, kind: str) -> Mapping[str, str]:
    """Return the files of a plugin: their contents by their paths."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError(f"`pegboard new` needs {error.name}: pip install 'pegboard[train]'") from error
    environment = Environment(
        loader=PackageLoader("pegboard.scaffold"),
        autoescape=False,  # noqa: S701 - Python, INI and Markdown are written here, no HTML, with names that are checked
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    values = {**asdict(names), "kind": kind, "use": KINDS[kind].format(plugin=names.plugin)}
    found = environment.list_templates(filter_func=lambda name: name.split("/")[0] in (SHARED, kind))
    return {
        _path(template, names): environment.get_template(template).render(**values, pegboard=library_version(PROJECT))
        for template in found
    }


def _path(template: str, names: Names) -> str:
    """Return where a template's file goes: ``model/src/MODULE/plugin.py.jinja`` is ``src/my_models/plugin.py``.

    ``dot-`` stands for the dot of hidden files, which packaging leaves out.
    """
    inside = str(PurePosixPath(*PurePosixPath(template).parts[1:])).removesuffix(SUFFIX)
    return re.sub(r"\bdot-", ".", inside.replace("MODULE", names.module))


def _write(files: Mapping[str, str], target: Path) -> None:
    """Write everything beside the target, and give it its name when it is whole."""
    with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        house = Path(scratch) / target.name
        for path, content in files.items():
            file = house / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8", newline="\n")
        house.rename(target)


def _commands(names: Names, kind: str, target: Path) -> tuple[str, ...]:
    # A path that pip cannot take for the name of a distribution.
    where = target if target.is_absolute() else f"./{target}"
    check = f"pegboard plugins check {names.plugin}"
    return f"pip install -e {shlex.quote(str(where))}", check, KINDS[kind].format(plugin=names.plugin)
