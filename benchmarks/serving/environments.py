"""The virtual environments: Pegboard's own, one for each peer, and one for the tools that draw and profile."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PLUGINS = ("sklearn", "house-prices", "hist-gradient", "lightgbm", "xgboost")
PARTS = ("app", *(f"plugins/pegboard-{name}" for name in PLUGINS))
SOURCES = ("framework", *(f"{part}/src" for part in PARTS))

#: What must be the same in every environment, so that all unpickle and run the same pipeline with the same libraries.
SHARED = ("joblib", "numpy", "pandas", "scikit-learn", "scipy", "threadpoolctl")

#: Whose versions the results name.
NAMED = ("flask", "waitress", "msgspec", "mlflow", "bentoml", "mlserver", "uvicorn", "fastapi", "starlette", *SHARED)


class EnvironmentFailed(Exception):
    """An environment that could not be made."""


class Environments:
    """Environments below a cache directory, made when they are first asked for and again when their pins change."""

    def __init__(self, cache: Path) -> None:
        self.directory = cache / "venvs"
        self.logs = cache / "logs"

    def python(self, name: str) -> Path:
        """Return the interpreter of environment ``name``; raise :class:`EnvironmentFailed` with the log's tail."""
        directory = self.directory / name
        arguments, pins = _wanted(name)
        stamp = directory / ".made-of"
        if not stamp.exists() or stamp.read_text() != pins:
            print(f"making the environment {name} (once; a minute or two)", file=sys.stderr)
            self._make(directory, arguments)
            stamp.write_text(pins)
        return directory / "bin" / "python"

    def versions(self, name: str) -> dict[str, str]:
        """Return the versions of the named distributions that environment ``name`` holds, Python's own included."""
        code = (
            "import importlib.metadata as m, platform, sys\n"
            "print('python', platform.python_version())\n"
            "for d in m.distributions(): print(d.name.lower(), d.version)\n"
        )
        done = subprocess.run([self.python(name), "-c", code], check=True, capture_output=True, text=True)
        found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        return {name: found[name] for name in ("python", *NAMED) if name in found}

    def _make(self, directory: Path, arguments: list[str]) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        venv.create(directory, with_pip=True)
        shared = directory / "shared.txt"
        shared.write_text("\n".join(_shared_pins()) + "\n")
        pip: list[str | Path] = [
            directory / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        log = self.logs / f"install-{directory.name}.log"
        with log.open("w") as output:
            done = subprocess.run([*pip, "-c", shared, *arguments], stdout=output, stderr=output, check=False)
        if done.returncode:
            raise EnvironmentFailed(f"pip failed for {directory.name}:\n{tail(log)}")


def compile_sources(python: Path) -> None:
    """Compile our editable sources as pip has compiled the peers, so that no cold start pays for it."""
    paths = [str(ROOT / source) for source in SOURCES]
    subprocess.run([python, "-m", "compileall", "-q", *paths], check=True, env=activated(python))


def activated(python: Path) -> dict[str, str]:
    """Return the variables for servers: this process's without Python's own, the environment's tools found first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _wanted(name: str) -> tuple[list[str], str]:
    """Return pip's arguments for an environment, and a digest of everything they stand for."""
    if name == "pegboard":
        constraints = ROOT / "constraints.txt"
        files = [constraints, ROOT / "setup.cfg", *(ROOT / part / "setup.cfg" for part in PARTS)]
        parts = [argument for part in PARTS for argument in ("-e", str(ROOT / part))]
        arguments = ["-c", str(constraints), "-e", f"{ROOT}[train]", *parts]
    else:
        files = [HERE / "requirements" / f"{name}.txt"]
        arguments = ["-r", str(files[0]), *(("scikit-learn", "pandas") if name != "tools" else ())]
    where = [str(ROOT)] if name == "pegboard" else []  # editable: another place is another environment
    content = [sys.version, *where, *_shared_pins(), *(path.read_text() for path in files)]
    return arguments, hashlib.sha256("\n".join(content).encode()).hexdigest()


def _shared_pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if re.split("[=<> ]", line)[0] in SHARED]
