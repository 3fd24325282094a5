"""The distributions of this repository, as their ``setup.cfg`` files tell of them, and its changelog."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG = "CHANGELOG.md"
#: What a section's heading says where others have a date.
UNRELEASED = "unreleased"

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<when>[^)]+)\)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """What stands in the way of a release: where it is, what it is, and what helps."""

    file: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Distribution:
    """One distribution: its directory, the core's being the repository's own, and its ``setup.cfg``."""

    directory: Path
    config: configparser.ConfigParser

    @property
    def name(self) -> str:
        """What it is installed by."""
        return self.metadata("name")

    @property
    def version(self) -> str:
        """What ``setup.cfg`` says, whether or not that is a version."""
        return self.metadata("version")

    def metadata(self, key: str) -> str:
        """Return what is said under ``[metadata]``, or nothing."""
        return self.config.get("metadata", key, fallback="").strip()

    def requirements(self) -> Iterator[tuple[str, str]]:
        """Yield every requirement and the extra that it belongs to; ``""`` is what all need."""
        yield from (("", line) for line in _lines(self.config.get("options", "install_requires", fallback="")))
        if self.config.has_section("options.extras_require"):
            for extra, listed in self.config.items("options.extras_require"):
                yield from ((extra, line) for line in _lines(listed))


@dataclass(frozen=True)
class Section:
    """A version's part of the changelog: its heading's place, what that says, and the text below it."""

    version: str
    when: str
    start: int
    end: int
    text: str

    @property
    def empty(self) -> bool:
        """Whether nothing but headings is there."""
        return all(line.startswith("#") for line in _lines(self.text))


def directories(root: Path = ROOT) -> list[Path]:
    """Return the directory of every distribution, the core's first."""
    return [root, root / "app", *sorted(path.parent for path in root.glob("plugins/*/setup.cfg"))]


def distributions(root: Path = ROOT) -> list[Distribution]:
    """Read every distribution's ``setup.cfg``."""
    return [Distribution(directory, _config(directory / "setup.cfg")) for directory in directories(root)]


def sections(changelog: str) -> list[Section]:
    """Return the changelog's sections in their order, the newest first."""
    found = list(_HEADING.finditer(changelog))
    ends = [*(match.start() for match in found[1:]), len(changelog)]
    return [
        Section(match["version"], match["when"], match.start(), match.end(), changelog[match.end() : end].strip())
        for match, end in zip(found, ends, strict=True)
    ]


def _config(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text(encoding="utf-8"), str(path))
    return parser


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
