"""Installed distributions: which of them a module belongs to, and what each requires in turn.

A module's name does not say what to install: ``sklearn`` comes with scikit-learn, ``xgboost`` with xgboost or with
xgboost-cpu, and distributions may share a namespace. What says it is the list of files that each was installed with;
for an editable installation, the project that it points to.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

DIRECT_URL = "direct_url.json"


def required(installed: Distribution, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """Yield what a distribution requires here: on this platform and Python, with these of its extras only."""
    for line in installed.requires or ():
        with suppress(InvalidRequirement):  # metadata from before there were rules for it
            requirement = Requirement(line)
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in ("", *extras)):
                yield requirement


def locked(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of distributions and of everything that they require, by normalised name.

    What is required and not installed is left out: nothing here has been tried with it.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [Requirement(name) for name in names]
    while pending:
        wanted = pending.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) not in seen:
            seen.add((name, extras))
            with suppress(PackageNotFoundError):
                installed = distribution(name)
                found[name] = installed.version
                pending.extend(required(installed, extras))
    return dict(sorted(found.items()))


def origin(name: str) -> str | None:
    """Say where an installed distribution comes from, ``None`` for a package index.

    Paths of this machine and credentials are left out. Source: the packaging specification "Direct URL".
    """
    told = _direct_url(distribution(name))
    if told is None:
        return None
    if "dir_info" in told:
        return "a directory, editable" if told["dir_info"].get("editable") else "a directory"
    parts = urlsplit(told["url"])
    if parts.scheme == "file" and "vcs_info" not in told:
        return "a file"
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    vcs = told.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url


def owner(module: str) -> str | None:
    """Return the normalised name of the distribution that an imported module's file belongs to, if it is in any."""
    return _index(tuple((entry, _changed(entry)) for entry in sys.path)).owner(module)


def _changed(entry: str) -> int:
    try:
        return os.stat(entry or ".").st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _index(_state: tuple[tuple[str, int], ...]) -> _Index:
    """Return the index of what is installed; another one when the path, or a directory on it, has changed."""
    return _Index()


class _Index:
    """What is installed, read once: the files of each distribution, and the projects of those that list none."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._projects: list[_Project] = []
        for installed in distributions():
            name = canonicalize_name(installed.name)
            for file in _modules(installed):
                self._files.setdefault(file, name)
            if project := _Project.of(installed):
                self._projects.append(project)

    def owner(self, module: str) -> str | None:
        file = _file(module)
        if file is None:
            return None
        if found := self._files.get(str(file)):
            return found
        projects = [project for project in self._projects if project.has(module.partition(".")[0], file)]
        return max(projects, key=lambda p: len(p.root.parts)).name if projects else None


def _modules(installed: Distribution) -> Iterator[str]:
    """Yield the files of modules that a distribution was installed with, all links of their directories followed."""
    root, listed = str(_directory(installed)), installed.read_text("RECORD") or ""
    for path, *_ in csv.reader(listed.splitlines()):
        if path.endswith((".py", ".so", ".pyd")):
            yield os.path.normpath(os.path.join(root, path))  # not Path: there are tens of thousands of them


def _directory(installed: Distribution) -> Path:
    return Path(str(installed.locate_file(""))).resolve()


def _file(module: str) -> Path | None:
    """Return an imported module's file; that of the package around it for one that an extension makes without."""
    while module:
        if file := getattr(sys.modules.get(module), "__file__", None):
            # Not the file's own link: a distribution may be installed as links into a cache.
            return Path(file).parent.resolve() / Path(file).name
        module = module.rpartition(".")[0]
    return None


@dataclass(frozen=True)
class _Project:
    """A distribution without a list of its modules, which lie beneath ``root``, beside those of others perhaps.

    It was installed editable, and its modules lie in a project's directory; or with the metadata of Debian's packages
    and of old editable installations, and they lie beside that. ``tops`` are its top-level packages; where these are
    not told, what lies in the directories ``path`` is its own.
    """

    name: str
    root: Path
    tops: frozenset[str]
    path: tuple[Path, ...]

    @classmethod
    def of(cls, installed: Distribution) -> _Project | None:
        told = _direct_url(installed)
        if told is not None and told.get("dir_info", {}).get("editable"):
            root = Path(url2pathname(urlsplit(told["url"]).path)).resolve()
        elif installed.read_text("RECORD") is None:
            root = _directory(installed)
        else:
            return None
        name, listed = canonicalize_name(installed.name), installed.read_text("top_level.txt")
        path = tuple(_paths(installed)) if listed is None else ()
        # What has put nothing on the path but a finder is called as it is, or as its entry points are.
        named = [name.replace("-", "_"), *(e.module.partition(".")[0] for e in installed.entry_points)]
        tops = listed.split() if listed is not None else [] if path else named
        return cls(name, root, frozenset(tops), path)

    def has(self, top: str, file: Path) -> bool:
        """Say whether a module's file is this project's; projects may lie inside others."""
        if not file.is_relative_to(self.root):
            return False
        beneath = [file.relative_to(entry).parts[0] for entry in self.path if file.is_relative_to(entry)]
        return top in self.tops or any(part.partition(".")[0] == top for part in beneath)


def _paths(installed: Distribution) -> Iterator[Path]:
    """Yield the directories that a distribution's ``.pth`` files put on the path."""
    for file in installed.files or ():
        if file.suffix == ".pth":
            place = Path(str(installed.locate_file(file)))
            for line in place.read_text(encoding="utf-8").splitlines():
                if line.strip() and not line.startswith(("#", "import ", "import\t")):
                    yield (place.parent / line.strip()).resolve()


def _direct_url(installed: Distribution) -> dict[str, Any] | None:
    text = installed.read_text(DIRECT_URL)
    return None if text is None else json.loads(text)
