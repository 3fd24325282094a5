"""Ansible's plays as an operator starts them, over real ssh that reaches the stand-ins and nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.running import ROOT, run, surroundings

_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Play:
    """How a play went: its exit status, what it said, and what it changed on each host."""

    status: int
    said: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks have changed something, by host."""
        return {host: int(changed) for host, _, changed, _, _ in _RECAP.findall(self.said)}

    @property
    def failed(self) -> set[str]:
        """The hosts on which a task has failed."""
        return {host for host, _, _, _, failed in _RECAP.findall(self.said) if int(failed)}


class Operator:
    """Somebody with a checkout, an inventory and a key."""

    def __init__(self, inventories: Sequence[Path], ssh_config: Path, environment: Mapping[str, str]) -> None:
        self._inventories = list(inventories)
        self._ssh = ("-F", str(ssh_config), "-o", f"ControlPath={ssh_config.parent}/ssh-%C")
        ssh = shlex.join([*self._ssh, "-o", "ControlMaster=auto", "-o", "ControlPersist=60s"])
        self._environment = surroundings(**environment, ANSIBLE_SSH_ARGS=ssh, ANSIBLE_NOCOLOR="1")

    def make(self, target: str, *settings: str, fails: bool | None = False, over: Path | None = None) -> Play:
        """Run a make target; ``settings`` are written as make takes them, ``IMAGE=…``.

        ``over`` is an inventory that lies over the others. It must fail if ``fails``; ``None`` takes either.
        """
        listed = [*self._inventories, *([over] if over else [])]
        environment = self._environment | {"ANSIBLE_INVENTORY": ",".join(map(str, listed))}
        done = run("make", "--no-print-directory", target, *settings, environment=environment, expected=None)
        said = f"{done.stdout}\n{done.stderr}"
        assert fails in (None, done.returncode != 0), f"make {target} ended with {done.returncode}:\n{said[-8000:]}"
        return Play(done.returncode, said)

    def hang_up(self, address: str) -> None:
        """End the connection to a host that is kept for the next play."""
        run("ssh", *self._ssh, "-O", "exit", f"ubuntu@{address}", expected=None)

    def pegboard(self, *arguments: str) -> Any:
        """Ask ``pegboard`` on the operator's machine, and return what it says as JSON."""
        command = Path(os.environ.get("VENV", ".venv")) / "bin" / "pegboard"
        return json.loads(run(ROOT / command, *arguments, "--json", environment=self._environment).stdout)
