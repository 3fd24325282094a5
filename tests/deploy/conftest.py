"""An engine for the tests that need one, and what the chain's clients saw, told in the end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.deploy.load import Phase
from tests.deploy.running import run

STAND = Path(__file__).parent / "stand"
PHASES = pytest.StashKey[list[Phase]]()
BEGAN = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BEGAN] = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what clients saw in each phase: requests, failures, versions."""
    if not (phases := config.stash.get(PHASES, [])):
        return
    minutes = (time.monotonic() - config.stash[BEGAN]) / 60
    terminalreporter.section(f"the chain, {minutes:.1f} minutes")
    terminalreporter.write_line(f"{'phase':<40} {'seconds':>7} {'requests':>8} {'failed':>6}  versions seen")
    for phase in phases:
        versions = ", ".join(f"{version} {count}" for version, count in sorted(phase.versions.items()))
        failed = phase.failures.total()
        terminalreporter.write_line(
            f"{phase.name:<40} {phase.seconds:>7.0f} {phase.requests:>8} {failed:>6}  {versions}"
        )
    requests, failed = sum(phase.requests for phase in phases), sum(phase.failures.total() for phase in phases)
    terminalreporter.write_line(f"{'all':<40} {'':>7} {requests:>8} {failed:>6}")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container engine and the base images: the machine's, or one of the tests' own that ends with them."""
    if missing := _missing():
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    pid_file = tmp_path_factory.mktemp("engine") / "dockerd.pid"
    said = run(STAND / "engine.sh", pid_file).stdout
    run(STAND / "base-images.sh")
    yield said.strip()
    if "ENGINE=ours" in said:
        with suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "the deployment's tests install an engine and boot hosts: run them as root, on a machine for tests"
    if shutil.which("apt-get") is None:
        return "the deployment's tests install an engine from Debian's packages, and there is no apt-get here"
    return None
