"""Ansible's plays as an operator starts them, over real ssh that reaches the stand-ins and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.running import PEGBOARD, run

_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Play:
    """How a play went: what it said, and what it changed on each host."""

    said: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks have changed something, by host."""
        return {host: int(changed) for host, changed in _RECAP.findall(self.said)}


class Operator:
    """Somebody with a checkout, an inventory and a key."""

    def __init__(self, inventories: Sequence[Path], ssh: Sequence[str], environment: Mapping[str, str]) -> None:
        """Work with these inventories, later ones over earlier ones, and these options of ssh."""
        self._inventories = list(inventories)
        self._ssh = list(ssh)
        self._environment = dict(environment)

    def make(
        self, target: str, *settings: str, fails: bool = False, over: Path | None = None, **environment: str
    ) -> Play:
        """Run a make target, which must end as ``fails`` says; ``settings`` are as make takes them, ``IMAGE=…``.

        ``over`` is an inventory that lies over the others, ``environment`` lies over the operator's.
        """
        listed = [*self._inventories, *([over] if over else [])]
        surrounded = self._environment | {"ANSIBLE_INVENTORY": ",".join(map(str, listed))} | environment
        done = run("make", "--no-print-directory", target, *settings, environment=surrounded, expected=None)
        said = f"{done.stdout}\n{done.stderr}"
        assert fails == (done.returncode != 0), f"make {target} ended with {done.returncode}:\n{said[-8000:]}"
        return Play(said)

    def run(self, *command: str | Path, **environment: str) -> str:
        """Run another command as this somebody; return what it prints."""
        return run(*command, environment=self._environment | environment).stdout

    def hang_up(self, address: str) -> None:
        """End the connection to a host that is kept for the next play."""
        run("ssh", *self._ssh, "-O", "exit", f"ubuntu@{address}", expected=None)

    def pegboard(self, *arguments: str) -> Any:
        """Ask ``pegboard`` on the operator's machine, and return what it says as JSON."""
        return json.loads(run(PEGBOARD, *arguments, "--json", environment=self._environment).stdout)
