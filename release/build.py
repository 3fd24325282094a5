"""Build the sdist and the wheel of every distribution, twice, and keep them if both builds gave the same bytes.

    python release/build.py [--out dist] [NAME…]

What is built is the last commit, and nothing that lies around it. The builds differ in all that must not matter: the
directory, the hour, the files' times, umask, time zone, locale and hash seed. What is not the same is named, with the
exit status 1. Else they are in ``dist/packages``, and their digests in ``dist/SHA256SUMS``: the directory is there when
all of it is. It runs with what ``release/requirements.txt`` names, and downloads nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from archives import differences, settle
from family import ROOT, distributions
from trees import FIRST, SECOND, Refused, Surroundings, committed, package, run

REQUIREMENTS = ROOT / "release" / "requirements.txt"
#: Beside the packages, since what uploads to PyPI takes a directory and refuses anything else in it.
SUMS, PACKAGES = "SHA256SUMS", "packages"


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def tools_are_pinned() -> None:
    """Refuse to build with another backend than the one that is pinned; its version decides the bytes."""
    for name, version in re.findall(r"^([a-z-]+)==([^ \\]+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE):
        if name in ("setuptools", "twine", "uv"):
            try:
                here = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                here = "no version"
            if here != version:
                raise Refused(
                    f"{sys.executable} has {here} of {name}, and {REQUIREMENTS.relative_to(ROOT)} names {version}: "
                    f"use make dist, or pip install -r {REQUIREMENTS.relative_to(ROOT)}"
                )


def built(names: Sequence[str], place: Path, under: Surroundings, epoch: int) -> Path:
    """Build the last commit's distributions in surroundings of their own; return the directory of what was built."""
    source, out = place / "source", place / "built"
    committed(source, under, epoch)
    family = [one for one in distributions(source) if not names or one.name in names]
    if unknown := set(names) - {one.name for one in family}:
        raise Refused(f"the last commit has no such distribution: {', '.join(sorted(unknown))}")

    def build(directory: Path, name: str) -> None:
        began = time.monotonic()
        package(directory, out / name, under, epoch)
        for archive in (out / name).iterdir():
            settle(archive, epoch)
        say(f"{under.name} build: {name}, {time.monotonic() - began:.1f} s")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(build, one.directory, one.name) for one in family]:
            done.result()
    return out


def compare(first: Path, second: Path) -> list[Path]:
    """Return what was built first, if the second build has given the same."""
    archives = [sorted(path.relative_to(built) for path in built.glob("*/*")) for built in (first, second)]
    if archives[0] != archives[1]:
        odd = sorted(str(path) for path in set(archives[0]) ^ set(archives[1]))
        raise Refused(f"only one of the builds has made {', '.join(odd)}")
    found = [difference for path in archives[0] for difference in differences(first / path, second / path)]
    if found:
        raise Refused("\n  ".join(["the two builds differ, so nobody could check what is released:", *found]))
    return [first / path for path in archives[0]]


def replaceable(out: Path) -> None:
    """Refuse to replace anything but an earlier build."""
    held = [*out.glob("*"), *out.glob(f"{PACKAGES}/*")] if out.is_dir() else []
    strange = [path.name for path in held if not _ours(path.relative_to(out))]
    if strange or (out.exists() and not out.is_dir()):
        what = ", ".join(strange[:3]) or "it is a file"
        raise Refused(f"{out} is not an earlier build, and would be replaced ({what}): name another with --out")


def _ours(path: Path) -> bool:
    return str(path) in (SUMS, PACKAGES) or (path.parts[0] == PACKAGES and path.name.endswith((".whl", ".tar.gz")))


def deliver(archives: Sequence[Path], out: Path) -> str:
    """Put the archives and their digests where they are wanted, all at once; return the digests."""
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in archives)
    out.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory, since only within a file system is a rename whole or not at all.
    waiting = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        new, old = waiting / "new", waiting / "old"
        (new / PACKAGES).mkdir(parents=True)
        for path in archives:
            shutil.copyfile(path, new / PACKAGES / path.name)
        (new / SUMS).write_text(sums, encoding="utf-8")
        with suppress(FileNotFoundError):
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            with suppress(FileNotFoundError):
                old.rename(out)
            raise
    finally:
        shutil.rmtree(waiting)
    return sums


def main() -> int:
    """Build twice, compare, check, deliver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a distribution (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the directory to put them (default: dist)")
    given = parser.parse_args()
    try:
        tools_are_pinned()
        replaceable(given.out)
        epoch = int(_git("log", "-1", "--format=%ct"))
        if changed := _git("status", "--porcelain").splitlines():
            say(f"note: what is built is the last commit, without what differs from it (files: {len(changed)})")
        with tempfile.TemporaryDirectory(prefix="pegboard-release-") as scratch:
            first = built(given.names, Path(scratch) / "first", FIRST, epoch)
            second = built(given.names, Path(scratch) / "the second place", SECOND, epoch)
            archives = compare(first, second)
            run([sys.executable, "-m", "twine", "--no-color", "check", "--strict", *archives])
            sums = deliver(archives, given.out)
    except Refused as error:
        sys.exit(f"error: {error}\nnothing was written to {given.out}")
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"error: {error}\nnothing was written to {given.out}")
    say(f"{len(archives)} files, the same in both builds, are in {given.out}")
    sys.stdout.write(sums)
    return 0


def _git(*words: str) -> str:
    return run(["git", "-C", ROOT, *words]).decode()


if __name__ == "__main__":
    sys.exit(main())
