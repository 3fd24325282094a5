"""Do what a page says, from its top to its end, as a reader would, and stop where it is not true.

    python walk.py PAGE [--section HEADING …] [--skip HEADING …] [--report FILE]

It works in the current directory and needs nothing but Python and bash. Of the page's blocks

- one with a title (``python title="my-models/setup.cfg"``) is written to that file;
- ``sh`` is run, line by line, in one environment: ``cd`` and ``activate`` last. ``pegboard serve`` runs on a free
  port until the section's end, and later commands find it where the page says, on port 5000;
- ``text`` and ``json`` are what the last command has printed. A line ``…`` stands for any lines. Seconds, digests and
  the width of columns may differ, and numbers by a thousandth;
- any other is an error: nobody would run it.

The report is a list of the commands: section, command, output, and seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: Seconds that one command may take.
TIMEOUT = 900
PORT = 5000

_BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<content>.*?)^```$|^## (?P<heading>.+?)$", re.MULTILINE | re.DOTALL)
_INFO = re.compile(r'(?P<language>\w+)(?: title="(?P<title>[^"]+)")?')
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")
#: What no two runs have in common, and what it is for the comparison.
_MASKS = {r"\b\d+\.\d+ s\b": "SECONDS", r"sha256:[0-9a-f]+": "DIGEST", r"[─━ ]+": " "}


class NotTrue(Exception):
    """The page says something that is not so."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its section, the line on which it begins, its language, its file if it has one, and its text."""

    section: str
    line: int
    language: str
    title: str | None
    content: str


@dataclass
class Done:
    """A command that was run."""

    section: str
    command: str
    output: str
    seconds: float


def blocks(page: Path) -> list[Block]:
    """Return the page's blocks in their order; those before the first heading are in the section ``""``."""
    text, section, found = page.read_text(encoding="utf-8"), "", []
    for match in _BLOCK.finditer(text):
        if match["heading"]:
            section = match["heading"]
            continue
        line, info = text.count("\n", 0, match.start()) + 1, _INFO.fullmatch(match["info"])
        if info is None or not (info["title"] or info["language"] in ("sh", "text", "json")):
            raise NotTrue(f"line {line}: nobody runs a block that is marked {match['info']!r}")
        found.append(Block(section, line, info["language"], info["title"], match["content"]))
    return found


@dataclass
class Walk:
    """What has been done so far, and what it has left: the shell's variables, and a server."""

    environ: dict[str, str] = field(default_factory=lambda: {**os.environ, "PWD": str(Path.cwd())})
    done: list[Done] = field(default_factory=list)
    server: subprocess.Popen[str] | None = None
    port: int = PORT

    def take(self, block: Block) -> None:
        """Do what one block says."""
        if self.done and self.done[-1].section != block.section:
            self.stop()
        if block.title:
            file = Path(self.environ["PWD"], block.title)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.content, encoding="utf-8")
        elif block.language == "sh":
            for command in block.content.replace("\\\n", "").splitlines():
                self.run(command, block.section)
        elif difference := compare(block.content, self.done[-1].output):
            raise NotTrue(f"line {block.line}: {self.done[-1].command!r} {difference}")

    def run(self, command: str, section: str) -> None:
        """Run one command, and keep the directory and the variables that it leaves."""
        started = time.monotonic()
        print(f"$ {command}", flush=True)
        output = self.serve(command) if command.startswith("pegboard serve ") else self.shell(command)
        self.done.append(Done(section, command, output, time.monotonic() - started))

    def shell(self, command: str) -> str:
        with tempfile.NamedTemporaryFile() as after:
            here = command.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{self.port}")
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"{here}\nenv -0 > {after.name}"],
                env=self.environ,
                cwd=self.environ["PWD"],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            if ran.returncode:
                raise NotTrue(f"{command!r} ends with status {ran.returncode}:\n{ran.stdout}{ran.stderr}")
            left = Path(after.name).read_text(encoding="utf-8").rstrip("\0").split("\0")
        self.environ = dict(variable.partition("=")[::2] for variable in left)
        return ran.stdout

    def serve(self, command: str) -> str:
        """Start a server on a free port, and wait until it says where it is."""
        self.stop()
        self.server = subprocess.Popen(
            ["bash", "-c", f"exec {command} --port 0"],
            env=self.environ,
            cwd=self.environ["PWD"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout is not None
        said = self.server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        if address is None:
            raise NotTrue(f"{command!r} does not serve: {said}")
        self.port = int(address[1])
        return said.replace(f":{self.port}", f":{PORT}")

    def stop(self) -> None:
        """End the server, if one runs."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait(60)
            self.server = None


def compare(shown: str, seen: str) -> str:
    """Say what of the shown text was not printed, or nothing."""
    lines, place = [_masked(line) for line in seen.splitlines()], 0
    for piece in re.split(r"^…\n?", shown, flags=re.MULTILINE):
        wanted = [_masked(line) for line in piece.splitlines()]
        starts = range(place, len(lines) - len(wanted) + 1)
        fit = (i for i in starts if all(_alike(w, s) for w, s in zip(wanted, lines[i:], strict=False)))
        if (start := next(fit, None)) is None:
            return f"does not print\n{piece}but\n{seen}"
        place = start + len(wanted)
    return ""


def _masked(line: str) -> str:
    for pattern, mask in _MASKS.items():
        line = re.sub(pattern, mask, line)
    return line.strip()


def _alike(one: str, other: str) -> bool:
    if _NUMBER.split(one) != _NUMBER.split(other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(a == b or math.isclose(_value(a), _value(b), rel_tol=1e-3) for a, b in pairs)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def walk(page: Path, wanted: Iterable[str], skipped: Iterable[str]) -> list[Done]:
    """Do all blocks of the wanted sections (none: all), but for those that are skipped."""
    found, wanted, skipped = blocks(page), list(wanted), list(skipped)
    for heading in (*wanted, *skipped):
        if heading not in {block.section for block in found}:
            raise NotTrue(f"no section {heading!r} has a block")
    way = Walk()
    try:
        for block in found:
            if block.section not in skipped and (not wanted or block.section in wanted):
                way.take(block)
    finally:
        way.stop()
    return way.done


def main() -> None:
    """Walk, report, and end with status 1 where the page is not true."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--section", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    try:
        done = walk(given.page, given.section, given.skip)
    except NotTrue as problem:
        sys.exit(f"{given.page.name}: {problem}")
    if given.report:
        given.report.write_text(json.dumps([asdict(command) for command in done]), encoding="utf-8")


if __name__ == "__main__":
    main()
