"""Every distribution as its users get it: a wheel, installed into an empty environment, where its own tests pass.

``python tests/wheels/run.py [PLUGIN…]`` builds the wheels of all distributions into ``build/wheels``. For each plugin,
or for those that are named, it makes an environment, installs that plugin there with what its extra ``testing``
names, and runs its tests against what is installed, never against the sources. It needs ``uv``, which is in the extra
``dev``; versions are those of ``constraints.txt``. Tests that are marked as slow are left out: what they look at is no
matter of packaging, and ``make test`` has run them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "release"))
from family import directories  # noqa: E402
from trees import package, working  # noqa: E402

WHEELS = ROOT / "build" / "wheels"
UV = [sys.executable, "-m", "uv", "--quiet"]
MOST_SECONDS = 1200
#: How many plugins are tested at the same time.
AT_ONCE = 2
#: What a plugin's tests may lean on, beside what their extra names.
COMMON = ["pegboard[parquet,testing,train]", "pegboard-serve", "pegboard-sklearn"]
WHERE = "import pegboard, sys; sys.exit(not pegboard.__file__.startswith(sys.prefix))"


@dataclass(frozen=True)
class Outcome:
    """What became of one plugin's tests: pytest's closing line, or the end of what went wrong."""

    plugin: str
    seconds: float
    passed: bool
    said: str


def plugins() -> list[Path]:
    return [directory for directory in directories() if directory.parent.name == "plugins"]


def build() -> None:
    """Build the wheels anew, of the files as they are now; a release is built of the last commit."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    for wheel in WHEELS.glob("*.whl"):
        wheel.unlink()
    with tempfile.TemporaryDirectory(prefix="pegboard-sources-") as scratch:
        working(Path(scratch) / "source")
        for directory in directories(Path(scratch) / "source"):
            package(directory, WHEELS, only="--wheel")


def tested(plugin: Path) -> Outcome:
    """Install one plugin into an environment of its own, and run its tests there."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pegboard-wheel-") as scratch:
        try:
            said = _run_tests(plugin, Path(scratch))
            passed = re.search(r"\b[1-9]\d* passed", said) is not None
        except subprocess.SubprocessError as error:
            passed, said = False, f"{error}\n{(getattr(error, 'output', None) or '')[-6000:]}"
    return Outcome(plugin.name, time.monotonic() - began, passed, said)


def _run_tests(plugin: Path, scratch: Path) -> str:
    python = scratch / "venv/bin/python"
    _run([*UV, "venv", "--python", sys.executable, scratch / "venv"], scratch)
    # uv would take a wheel of the same name and version that it has seen before.
    anew = [word for wheel in WHEELS.glob("*.whl") for word in ("--refresh-package", wheel.name.partition("-")[0])]
    install = [*UV, "pip", "install", "--python", python, "--find-links", WHEELS, *anew]
    _run([*install, "--constraint", ROOT / "constraints.txt", *COMMON, f"{plugin.name}[testing]"], scratch)
    _run([python, "-c", WHERE], scratch)
    options = ["-c", ROOT / "setup.cfg", "--rootdir", ROOT, "-p", "no:cacheprovider", "-q", "--no-header", "-m",
               "not slow"]  # fmt: skip
    lines = _run([python, "-m", "pytest", *options, plugin / "tests"], scratch).strip().splitlines()
    return lines[-1]


def _run(command: list[str | Path], scratch: Path) -> str:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PEGBOARD_", "PYTHON"))}
    path = f"{scratch / 'venv/bin'}{os.pathsep}{outside['PATH']}"
    done = subprocess.run(
        command, cwd=scratch, env={**outside, "PATH": path}, timeout=MOST_SECONDS, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.stdout


def main(names: list[str]) -> int:
    """Build, install and test; the exit status says whether all have passed."""
    chosen = [plugin for plugin in plugins() if not names or plugin.name in names]
    if unknown := set(names) - {plugin.name for plugin in chosen}:
        sys.exit(f"no such plugin here: {', '.join(sorted(unknown))}")
    build()
    print(f"{len(list(WHEELS.glob('*.whl')))} wheels in {WHEELS.relative_to(ROOT)}", flush=True)
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(tested, chosen):
            mark = "ok    " if outcome.passed else "FAILED"
            print(f"{mark} {outcome.plugin:24} {outcome.seconds:4.0f} s  {outcome.said}", flush=True)
            failed += not outcome.passed
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
