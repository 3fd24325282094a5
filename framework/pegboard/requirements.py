"""What a bundle needs at prediction time: found when it is published, checked before it is unpickled.

The pickle itself says which classes it is made of; the distributions that these come from are its requirements. What a
class imports only when it predicts, its distribution has to require, as any library does: the lock follows that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pegboard.errors import BundleError
from pegboard.provenance import library_version

if TYPE_CHECKING:
    from pegboard.bundle import Bundle
    from pegboard.unpickling import Asked

#: Distributions that may be newer than at training time, because they read what earlier versions of them have written:
#: the formats of arrays and tables are kept stable for that, and for our own classes we answer. None may be older. The
#: classes of all others hold for the very version that pickled them: scikit-learn, for one, promises nothing else.
READ_BY_LATER = frozenset(("joblib", "numpy", "pandas", "pegboard", "pyarrow", "scipy"))

#: - ``classes``: classes or functions that the pickle names, or bases of the classes, come from it.
#: - ``policy``: a plugin that lets the classes of another distribution be unpickled, by requiring that one.
#: - ``kernel``: a kernel that would serve in the pipeline's place comes from it; without it answers take longer.
Kind = Literal["classes", "policy", "kernel"]

#: Of the classes for which a distribution is needed, so many are named.
MOST_CAUSES = 5

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A distribution that a pipeline needs, its version at training time, and some of what it is needed for."""

    name: str
    version: str
    kind: Kind
    causes: tuple[str, ...]

    @property
    def pinned(self) -> str:
        """As ``pip install`` takes it."""
        return f"{self.name}=={self.version}"

    @property
    def problem(self) -> str | None:
        """What is wrong with what is installed here, ``None`` if nothing is."""
        here, newer = library_version(self.name), self.kind != "classes" or self.name in READ_BY_LATER
        if here is not None and _suits(here, self.version, newer):
            return None
        found = "which is not installed" if here is None else f"and {here} is installed"
        return f"{self.name} {self.version}{' or newer' if newer else ''}, {found}"


@dataclass(frozen=True)
class Requirements:
    """What a bundle's manifest says under ``requirements``.

    ``lock`` holds the version of everything that is needed, transitively, Pegboard included; ``origins`` says of some
    of it from where else than a package index it was installed; ``unowned`` names the classes that are in no
    distribution, so that a server has to have their modules on its path.
    """

    direct: tuple[Requirement, ...]
    lock: Mapping[str, str]
    origins: Mapping[str, str]
    unowned: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        direct = [{"name": r.name, "version": r.version, "kind": r.kind, "for": list(r.causes)} for r in self.direct]
        return {
            "direct": direct,
            "lock": dict(self.lock),
            "origins": dict(self.origins),
            "unowned": list(self.unowned),
        }

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """Read what :meth:`to_dict` wrote; raise :class:`ValueError` for anything else.

        Names and versions end up in commands and in what pip reads, so nothing else is let in.
        """
        try:
            direct = tuple(
                Requirement(_fit(_NAME, r["name"]), _fit(_VERSION, r["version"]), _kind(r["kind"]), _lines(r["for"]))
                for r in plain["direct"]
            )
            lock = {_fit(_NAME, name): _fit(_VERSION, version) for name, version in plain["lock"].items()}
            origins = dict(zip(map(_line, plain["origins"]), _lines(plain["origins"].values()), strict=True))
            return cls(direct, lock, origins, _lines(plain["unowned"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no requirements of a bundle: {error!r}") from error

    def lines(self) -> Iterator[str]:
        """Yield the lock's lines as pip takes them, a comment behind what no package index has to have."""
        for name, version in sorted(self.lock.items()):
            told = self.origins.get(name)
            yield f"{name}=={version}" + (f"  # from {told}: a package index need not have it" if told else "")


def find(asked: Iterable[Asked], kernel: tuple[str, str] | None = None) -> Requirements:
    """Return what a pickle needs that has asked for these names.

    ``kernel`` is the name of the kernel that would serve, and of the distribution that brings it; that of Pegboard's
    own is empty.
    """
    from packaging.utils import canonicalize_name

    from pegboard.distributions import locked, origin

    names = list(asked)
    owned, unowned = _owned({each.path for each in names})
    based, _ = _owned({base for each in names for base in _bases(each.found)})
    kinds: dict[str, Kind] = dict.fromkeys([*owned, *based], "classes")
    causes = {name: paths[:MOST_CAUSES] for name, paths in (based | owned).items()}
    if kernel is not None and kernel[1] and library_version(kernel[1]) is not None:
        brings = canonicalize_name(kernel[1])
        kinds.setdefault(brings, "kernel")
        causes[brings] = [f"kernel {kernel[0]}", *causes.get(brings, ())]
    for path, plugins in sorted((each.path, each.plugins) for each in names if each.plugins):
        plugin = min(plugins, key=lambda name: (name not in kinds, name))  # any will do, so one that is needed anyhow
        if kinds.get(plugin) != "classes":
            kinds[plugin] = "policy"
            causes[plugin] = [*causes.get(plugin, ()), path][: MOST_CAUSES + 1]
    lock = locked([*kinds, "pegboard"])
    direct = tuple(Requirement(name, lock[name], kinds[name], tuple(causes[name])) for name in sorted(kinds))
    origins = {name: told for name in lock if (told := origin(name)) is not None}
    return Requirements(direct, lock, origins, tuple(unowned))


def _owned(paths: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return what does not come with Python by the distribution that it belongs to, and what belongs to none."""
    from pegboard.distributions import owner

    owned: dict[str, list[str]] = {}
    unowned: list[str] = []
    for path in sorted(paths):
        module = path.partition(":")[0]
        if module.partition(".")[0] not in sys.stdlib_module_names:
            name = owner(module)
            (unowned if name is None else owned.setdefault(name, [])).append(path)
    return owned, unowned


def _bases(found: Any) -> Iterator[str]:
    """Yield the classes that a class derives from: its instances' state is theirs as well."""
    for base in found.__mro__[1:] if isinstance(found, type) else ():
        if isinstance(base.__module__, str):
            yield f"{base.__module__}:{base.__qualname__}"


def problems(bundle: Bundle) -> list[str]:
    """Say of each distribution without which a bundle cannot be loaded here what is wrong, and what to install."""
    return [f"needs {lacking.problem}: pip install {lacking.pinned}" for lacking in _lacking(bundle)]


def slower(bundle: Bundle) -> list[str]:
    """Say of each distribution without which a bundle answers as well, but slower, what is wrong."""
    wrong = [r for r in bundle.requirements.direct if r.kind == "kernel" and r.problem]
    return [f"answers slower without {r.causes[0]}: needs {r.problem}: pip install {r.pinned}" for r in wrong]


def refuse_lacking(bundle: Bundle) -> None:
    """Raise :class:`BundleError` with all that is missing or different, and the command that installs it."""
    if lacking := _lacking(bundle):
        wrong = "; ".join(str(requirement.problem) for requirement in lacking)
        command = " ".join(["pip install", *(requirement.pinned for requirement in lacking)])
        raise BundleError(f"{bundle.directory} needs {wrong}: {command}, or train again")


def _lacking(bundle: Bundle) -> list[Requirement]:
    return [r for r in bundle.requirements.direct if r.kind != "kernel" and r.problem]


def _suits(here: str, needed: str, newer: bool) -> bool:
    """Compare versions; what stands behind a plus says how a distribution was built, and not what it is."""
    from packaging.version import InvalidVersion, Version

    try:
        found, wanted = Version(Version(here).public), Version(Version(needed).public)
    except InvalidVersion:
        return here == needed
    return found >= wanted if newer else found == wanted


def _fit(pattern: re.Pattern[str], text: Any) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} cannot be")
    return str(text)


def _kind(text: Any) -> Kind:
    if text not in get_args(Kind):
        raise ValueError(f"{text!r} is no kind of requirement")
    return text  # type: ignore[no-any-return]


def _line(text: Any) -> str:
    if not (isinstance(text, str) and text.isprintable()):
        raise ValueError(f"{text!r} is no line of text")
    return text


def _lines(texts: Any) -> tuple[str, ...]:
    return tuple(_line(text) for text in texts)
