"""Whether this checkout can be released: versions, requirements, changelog, tag, descriptions, licences.

    python release/check.py [--tag v1.2.3] [--json]
    python release/check.py [--tag v1.2.3] --notes

Every problem is listed, with its file and its remedy, and the exit status is 1 if there is one. With ``--tag`` the
changelog's section needs a date, and the tag must name the version. It runs with what ``release/requirements.txt``
names. With ``--notes`` only the changelog and the tag are looked at, any Python will do, and the changelog's section is
printed, for the text of a release.
"""

from __future__ import annotations

import argparse
import configparser
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date

from family import CHANGELOG, ROOT, UNRELEASED, Distribution, Problem, Section, distributions, sections


def problems(family: list[Distribution]) -> Iterator[Problem]:
    """Yield what is wrong with the distributions; what reads their metadata is not in every Python."""
    try:
        import metadata
    except ImportError as missing:
        sys.exit(f"error: {missing}: pip install -r release/requirements.txt, or use make release-check")
    yield from metadata.problems(family)


def _tag(tag: str | None, version: str) -> Iterator[Problem]:
    if tag not in (None, f"v{version}"):
        remedy = f"tag v{version}, or bump first: python release/bump.py {str(tag).removeprefix('v')}"
        yield Problem("setup.cfg", f"the tag {tag} does not name version {version}", remedy)


def _changelog(version: str, tagged: bool) -> Iterator[Problem]:
    found = sections((ROOT / CHANGELOG).read_text(encoding="utf-8"))
    named = [section for section in found if section.version == version]
    if len(named) != 1:
        said = f"it has {len(named)} sections for {version}"
        yield Problem(CHANGELOG, said, f"have one, with the heading '## {version} (YYYY-MM-DD)'")
        return
    section = named[0]
    if not _dated(section) and (tagged or section.when != UNRELEASED):
        remedy = f"write the day as YYYY-MM-DD: python release/bump.py {version}"
        yield Problem(CHANGELOG, f"the section of {version} is dated '{section.when}'", remedy)
    if section.empty:
        yield Problem(CHANGELOG, f"the section of {version} says nothing", "say what has changed")
    if tagged and found[0] is not section:
        said = f"{found[0].version} stands above {version}, and its changes would be released too"
        yield Problem(CHANGELOG, said, f"tag the commit of {version}, or bump to the newer one")


def _dated(section: Section) -> bool:
    try:
        return date.fromisoformat(section.when).isoformat() == section.when
    except ValueError:
        return False


def main() -> int:
    """Check, and print what was found or asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="the tag that is to be released, such as v1.2.3")
    parser.add_argument("--notes", action="store_true", help="print the changelog's section of the version")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    given = parser.parse_args()
    try:
        family = distributions()
        version = family[0].version
        found = [] if given.notes else list(problems(family))
        found += [*_tag(given.tag, version), *_changelog(version, given.tag is not None)]
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        sys.exit(f"error: {error}; mend that file first")
    if given.json:
        told = {"version": version, "distributions": len(family), "problems": [asdict(problem) for problem in found]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    for problem in found if not given.json else []:
        sys.stderr.write(f"{problem.file}: {problem.problem}; {problem.remedy}\n")
    if found:
        sys.stderr.write(f"error: {version} cannot be released yet (problems: {len(found)}); nothing was changed\n")
        return 1
    if given.notes:
        text = (ROOT / CHANGELOG).read_text(encoding="utf-8")
        sys.stdout.write(next(section.text for section in sections(text) if section.version == version) + "\n")
    elif not given.json:
        sys.stdout.write(f"{len(family)} distributions of version {version}: ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
