"""Wheels and sdists as files: what depends on who packed them taken out, and two of them compared."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

PLAIN, EXECUTABLE = 0o644, 0o755


@dataclass(frozen=True)
class Member:
    """A file or directory in an archive."""

    name: str
    mode: int
    when: object
    content: bytes


def settle(archive: Path, epoch: int) -> None:
    """Write an archive again without what its packer's umask, account and clock have left in it."""
    new = archive.with_name(f"{archive.name}.new")
    (_settle_wheel if archive.suffix == ".whl" else _settle_sdist)(archive, new, epoch)
    os.replace(new, archive)


def _settle_wheel(archive: Path, new: Path, _epoch: int) -> None:
    # Their times and their order are settled already: setuptools takes SOURCE_DATE_EPOCH for wheels.
    with zipfile.ZipFile(archive) as packed, zipfile.ZipFile(new, "w") as settled:
        for member in packed.infolist():
            content = packed.read(member)
            member.external_attr = (stat.S_IFREG | _mode(member.external_attr >> 16)) << 16
            settled.writestr(member, content)


def _settle_sdist(archive: Path, new: Path, epoch: int) -> None:
    # Not so for sdists, which hold the files' own times and the hour of packing (pypa/setuptools#2133).
    plain = io.BytesIO()
    with tarfile.open(archive) as packed, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as settled:
        for member in sorted(packed.getmembers(), key=lambda one: one.name):
            content = packed.extractfile(member)
            member.mode = EXECUTABLE if member.isdir() else _mode(member.mode)
            member.mtime, member.pax_headers = epoch, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            settled.addfile(member, content)
    with new.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as zipped:
        zipped.write(plain.getvalue())


def _mode(mode: int) -> int:
    return EXECUTABLE if mode & stat.S_IXUSR else PLAIN


def differences(first: Path, second: Path) -> list[str]:
    """Say what is not the same in two archives of the same name; nothing is said of the same bytes."""
    if first.read_bytes() == second.read_bytes():
        return []
    one, other = _members(first), _members(second)
    found = [f"{first.name}: {difference}" for difference in _compared(one, other)]
    return found or [f"{first.name}: the same members, packed in another way"]


def _compared(one: list[Member], other: list[Member]) -> Iterator[str]:
    firsts, seconds = ({member.name: member for member in members} for members in (one, other))
    for name in sorted(firsts.keys() ^ seconds.keys()):
        yield f"{name} is only in the {'first' if name in firsts else 'second'} build"
    for name in sorted(firsts.keys() & seconds.keys()):
        before, after = firsts[name], seconds[name]
        if before.content != after.content:
            yield f"{name}: contents differ, {_line(before.content, after.content)}"
        if before.mode != after.mode:
            yield f"{name}: modes differ, {before.mode:o} and {after.mode:o}"
        if before.when != after.when:
            yield f"{name}: timestamps differ, {before.when} and {after.when}"
    if firsts.keys() == seconds.keys() and list(firsts) != list(seconds):
        yield "the order of the members differs"


def _line(one: bytes, other: bytes) -> str:
    pairs = enumerate(zip_longest(one.splitlines(), other.splitlines(), fillvalue=b""), 1)
    number, before, after = next(((n, a, b) for n, (a, b) in pairs if a != b), (1, b"", b""))
    return f"line {number}: {before[:80].decode(errors='replace')!r} and {after[:80].decode(errors='replace')!r}"


def _members(archive: Path) -> list[Member]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as packed:
            return [Member(m.filename, m.external_attr >> 16, m.date_time, packed.read(m)) for m in packed.infolist()]
    with tarfile.open(archive) as sdist:
        found = [(member, sdist.extractfile(member)) for member in sdist.getmembers()]
        return [Member(m.name, m.mode, m.mtime, file.read() if file else b"") for m, file in found]
