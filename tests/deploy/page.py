"""A reader of docs/deploy.md, who types what it says, step after step, into one shell."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.deploy.running import ROOT

PAGE = ROOT / "docs" / "deploy.md"
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_STEP = re.compile(r"^\*\*(\d)\. ", re.MULTILINE)
# The reader says yes where Terraform asks. The commands of a step are read before they are run: what they ask of the
# terminal is not the rest of them.
_FOLLOW = """\
source {script} < <(yes yes) >{said} 2>&1
echo followed
"""


def steps(page: Path = PAGE) -> dict[str, str]:
    """Return the commands of the page: of its numbered steps by their numbers, of its way back as ``back``."""
    _, *titled = _SECTION.split(page.read_text())
    sections = dict(zip(titled[::2], titled[1::2], strict=True))
    first, _, _ = sections["Deploy to two EC2 machines"].partition("### ")
    _, *numbered = _STEP.split(first)
    parts = {**dict(zip(numbered[::2], numbered[1::2], strict=True)), "back": sections["Back, at night"]}
    return {name: "".join(_FENCE.findall(text)) for name, text in parts.items()}


class Reader:
    """Somebody in a checkout, with a shell that stays open: what one step has set is there in the next."""

    def __init__(self, checkout: Path, environment: Mapping[str, str], notes: Path) -> None:
        """Open a shell in ``checkout``; commands and what they said are kept in the directory ``notes``."""
        self._notes = notes
        self._steps, self._told = steps(), dict[str, str]()
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail"], cwd=checkout, env=dict(environment), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.types(". .venv/bin/activate")

    def follow(self, step: str, instead: Mapping[str, str] | None = None) -> str:
        """Run the commands of a step, each of which must succeed; return what they said.

        ``instead`` has what this reader types for what the page can only hint at; all of it must be there.
        """
        commands = self._steps[step]
        for hint, typed in (instead or {}).items():
            assert hint in commands, f"step {step} of {PAGE.name} does not say {hint!r} any more:\n{commands}"
            commands = commands.replace(hint, typed)
        self._told[step] = self.types(commands)
        return self._told[step]

    def said(self, step: str) -> str:
        """Return what the commands of a step said."""
        return self._told[step]

    @property
    def unread(self) -> set[str]:
        """The steps that nobody has followed yet."""
        return self._steps.keys() - self._told.keys()

    def types(self, commands: str) -> str:
        """Run these commands, each of which must succeed; return what they said."""
        script, said = self._notes / "typed.sh", self._notes / "said.txt"
        script.write_text(commands)
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(_FOLLOW.format(script=script, said=said))
        self._shell.stdin.flush()
        followed = self._shell.stdout.readline()
        assert followed == "followed\n", f"this ended the reader's shell:\n{commands}\n{said.read_text()[-8000:]}"
        return said.read_text()

    def close(self) -> None:
        """Close the shell."""
        self._shell.terminate()
        self._shell.wait(10)
