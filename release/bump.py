"""Give all distributions a version, and the changelog's newest section its name and day.

    python release/bump.py 1.2.3 [--date YYYY-MM-DD]

Every ``setup.cfg`` says the version then, every requirement on one of our distributions asks for it, and the heading of
what was unreleased is ``## 1.2.3 (YYYY-MM-DD)``: today's date, in UTC. Nothing is written if something is wrong.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from family import CHANGELOG, ROOT, UNRELEASED, distributions, sections
from packaging.version import InvalidVersion, Version


class Refused(Exception):
    """What keeps a version from being given."""


def changelog(text: str, version: Version, day: date) -> str:
    """Return the changelog with its unreleased section named and dated."""
    found = sections(text)
    for section in found:
        if section.when != UNRELEASED and version <= Version(section.version):
            raise Refused(f"{CHANGELOG}: {section.version} is of {section.when}, so {version} cannot come after it")
    if not found or found[0].when != UNRELEASED:
        raise Refused(f"{CHANGELOG}: its first section is not '## {version} (unreleased)': write down what has changed")
    if found[0].empty:
        raise Refused(f"{CHANGELOG}: what is unreleased says nothing: write down what has changed")
    return f"{text[: found[0].start]}## {version} ({day}){text[found[0].end :]}"


def config(text: str, version: Version, names: list[str]) -> str:
    """Return a ``setup.cfg`` with its version, and with the requirements on our distributions in step with it."""
    ours = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    text = re.sub(r"^version = .*$", f"version = {version}", text, count=1, flags=re.MULTILINE)
    # One "=" alone is not a requirement's: it is between a command and what it calls.
    bound = r"[ \t]*(?:[=<>!~]=|[<>])[^;\n]*"
    return re.sub(rf"^([ \t]+(?:{ours})(?:\[[^\]\n]*\])?){bound}", rf"\g<1>=={version}", text, flags=re.MULTILINE)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text} is no day: write it as YYYY-MM-DD") from None


def write(texts: dict[Path, str]) -> None:
    """Write all files, or none where one of them cannot be written."""
    made: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            made[path] = path.with_name(f"{path.name}.new")
            made[path].write_text(text, encoding="utf-8", newline="")
        for path, new in made.items():
            os.replace(new, path)
    finally:
        for new in made.values():
            with suppress(OSError):
                new.unlink()


def main() -> int:
    """Read everything, then write everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--date", help="the day of the release (default: today, in UTC)")
    given = parser.parse_args()
    try:
        version = Version(given.version)
        if str(version) != given.version or version.local:
            raise Refused(f"{given.version} is not how a release is named: write {version.public}")
        day = _day(given.date) if given.date else datetime.now(UTC).date()
        family = distributions()
        names = [one.name for one in family]
        paths = [one.directory / "setup.cfg" for one in family]
        texts = {path: config(path.read_text(encoding="utf-8"), version, names) for path in paths}
        log = ROOT / CHANGELOG
        texts[log] = changelog(log.read_text(encoding="utf-8"), version, day)
        write(texts)
    except InvalidVersion:
        sys.exit(
            f"error: {given.version!r} is no version: write it as PEP 440 does, such as 1.2.3; nothing was changed"
        )
    except (Refused, OSError, ValueError, configparser.Error) as error:
        sys.exit(f"error: {error}; nothing was changed")
    sys.stdout.write(f"{version} in {len(paths)} setup.cfg files and in {CHANGELOG}; look at it: git diff\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
