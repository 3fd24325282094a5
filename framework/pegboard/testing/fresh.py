"""Asking a fresh process, which has nothing of this one but its environment and its path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from pegboard.testing.kit import Failed, Subject

#: Seconds that a fresh process may take: imports on a busy machine, and little else.
TIMEOUT = 300


def listing(subject: Subject) -> dict[str, Any]:
    """Return what :mod:`pegboard.testing.child` finds when it imports the subject's plugin and calls its factories."""
    plugin = subject.thing.plugin
    module = getattr(subject.kit.manager.module(plugin), "__name__", None)
    if module is None:
        raise Failed(f"plugin {plugin.name!r} is no module, so a fresh process cannot import it")
    return subject.kit.keep(("listing", plugin.name), lambda: ask("pegboard.testing.child", {"module": module}))


def ask(module: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Run a module in a fresh process, the question on its standard input, and return what it answers."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module],
        input=json.dumps(question),
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failed(f"in a fresh process: {lines[-1]}", "\n".join(lines[-8:]))
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
