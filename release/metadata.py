"""What package indexes ask of a distribution's metadata, and what its siblings do."""

from __future__ import annotations

from collections.abc import Iterator, Set

import readme_renderer.markdown
import readme_renderer.rst
from family import ROOT, Distribution, Problem
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from trove_classifiers import classifiers as known_classifiers

RENDERERS = {"text/markdown": readme_renderer.markdown.render, "text/x-rst": readme_renderer.rst.render}


def problems(family: list[Distribution]) -> Iterator[Problem]:
    """Yield everything that is wrong with any distribution, file after file."""
    version = family[0].version
    names: set[str] = {canonicalize_name(one.name) for one in family}
    for one in family:
        file = str((one.directory / "setup.cfg").relative_to(ROOT))
        yield from _version(one, file, version)
        yield from _requirements(one, file, version, names)
        yield from _classifiers(one, file)
        yield from _description(one, file)
        yield from _licence(one, file)


def _version(one: Distribution, file: str, version: str) -> Iterator[Problem]:
    if one.version != version:
        said = f"version is {one.version or 'missing'}, and that of pegboard {version or 'too'}"
        yield Problem(file, said, f"write version = {version}" if version else "write one, such as version = 1.2.3")
    try:
        usual = str(Version(one.version))
    except InvalidVersion:
        yield Problem(file, f"{one.version!r} is no version", "write it as PEP 440 does, such as 1.2.3 or 1.2.3rc1")
    else:
        if usual != one.version:
            yield Problem(file, f"version {one.version} is not in its usual form", f"write version = {usual}")


def _requirements(one: Distribution, file: str, version: str, names: Set[str]) -> Iterator[Problem]:
    core_is_named = one.directory == ROOT
    for extra, line in one.requirements():
        where = f"the extra {extra}" if extra else "install_requires"
        try:
            required = Requirement(line)
        except InvalidRequirement:
            yield Problem(file, f"{where}: {line!r} is no requirement", "write it as PEP 508 does, such as numpy>=2.4")
            continue
        name = canonicalize_name(required.name)
        core_is_named |= not extra and name == "pegboard"
        # An extra may name others of its own distribution, which has one version anyway.
        wanted = "" if name == canonicalize_name(one.name) else f"=={version}"
        if name in names and str(required.specifier) != wanted:
            said = f"{where}: {line} does not ask for the version that is released together with it"
            yield Problem(file, said, f"write {required.name}{wanted}")
    if not core_is_named:
        yield Problem(file, "install_requires does not name pegboard", f"add pegboard=={version}")


def _classifiers(one: Distribution, file: str) -> Iterator[Problem]:
    for line in one.metadata("classifiers").splitlines():
        if (classifier := line.strip()) and classifier not in known_classifiers:
            yield Problem(file, f"PyPI refuses the classifier {classifier!r}, which it does not know", "take it out")


def _description(one: Distribution, file: str) -> Iterator[Problem]:
    said, kind = one.metadata("long_description"), one.metadata("long_description_content_type")
    path = one.directory / said.removeprefix("file:").strip()
    name = str(path.relative_to(ROOT))
    if not said.startswith("file:"):
        yield Problem(file, "long_description names no file", "write long_description = file: README.md")
    elif not path.is_file() or not path.read_text(encoding="utf-8").strip():
        yield Problem(name, "the description is missing or empty", "say what the distribution is")
    elif kind not in RENDERERS:
        shown = " and ".join(RENDERERS)
        said = f"long_description_content_type is {kind or 'missing'}, and PyPI shows {shown}"
        yield Problem(file, said, "write long_description_content_type = text/markdown")
    elif RENDERERS[kind](path.read_text(encoding="utf-8")) is None:
        yield Problem(name, f"it does not render as {kind}", "make dist, and read what twine says")


def _licence(one: Distribution, file: str) -> Iterator[Problem]:
    if "LICENSE" not in one.metadata("license_files").split():
        yield Problem(file, "license_files does not name LICENSE", "write license_files = LICENSE")
    path = one.directory / "LICENSE"
    if not path.is_file() or path.read_bytes() != (ROOT / "LICENSE").read_bytes():
        name = str(path.relative_to(ROOT))
        yield Problem(name, "the licence is missing, or not the one of the repository", f"cp LICENSE {name}")
