"""Where something was made: the commit of the working directory, Python, the platform and the libraries."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

#: The libraries whose versions are recorded with everything that is made, whether it needs them or not.
RECORDED = ("pegboard", "scikit-learn", "numpy", "pandas", "joblib", "scipy")


def git_commit() -> dict[str, Any] | None:
    """Return the commit of the working directory, and whether it holds changes; ``None`` outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    commit, status = (
        subprocess.run([git, *command], capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
        for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
    )
    return None if commit.returncode else {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}


def git_reference() -> str:
    """Return :func:`git_commit` as a short text, ``-dirty`` behind a commit with changes; empty without one."""
    git = git_commit()
    return "" if git is None else git["commit"] + "-dirty" * git["changed"]


def library_version(distribution: str) -> str | None:
    """Return the installed version of a distribution, ``None`` if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def libraries() -> dict[str, str | None]:
    """Return the installed versions of the libraries that a result may depend on."""
    return {name: library_version(name) for name in RECORDED}


def environment() -> dict[str, Any]:
    """Return Python, the platform, the libraries and the machine's name."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": libraries(),
        "hostname": socket.gethostname(),
    }
