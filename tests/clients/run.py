"""Real clients of others against a real server: tritonclient and MLflow's, in a virtual environment of their own.

``python3 tests/clients/run.py`` needs the repository's ``.venv`` (``make install``); ``PYTHON`` names another
interpreter that has Pegboard. The clients' environment is kept in ``tests/clients/.cache`` and made anew when
``requirements.txt`` changes.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PYTHON = os.environ.get("PYTHON", str(HERE.parents[1] / ".venv/bin/python"))
MOST_SECONDS = 600


def clients_python() -> Path:
    """Return the interpreter of the clients' environment, made if there is none with these requirements."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    place = CACHE / f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    python, finished = place / "bin/python", place / "finished"
    if not finished.exists():
        CACHE.mkdir(exist_ok=True)
        (CACHE / ".gitignore").write_text("*\n")
        venv.create(place, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", requirements], check=True)
        finished.touch()
    return python


def pegboard(*arguments: str | Path) -> None:
    subprocess.run([PYTHON, "-m", "pegboard", *arguments], check=True, timeout=MOST_SECONDS)


@contextmanager
def serving(model: str, directory: Path) -> Iterator[str]:
    """Serve a model on a free port until the block ends, and yield the port."""
    log = (directory / f"{model}.log").open("w")
    command = [PYTHON, "-m", "pegboard", "serve", model, "--registry", directory / "registry", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
        if found is None:
            raise SystemExit(f"no server: {first}{(directory / f'{model}.log').read_text()}")
        yield found[1]
    finally:
        server.terminate()
        server.communicate(timeout=60)
        log.close()


def spoilt(answers: Path) -> Path:
    """Return a copy of the expected answers in which the first is wrong: a little, or another label."""
    with answers.open(newline="") as file:
        names, *rows = csv.reader(file)
    at = names.index("prediction")
    try:
        rows[0][at] = repr(float(rows[0][at]) * (1 + 1e-8))
    except ValueError:
        rows[0][at] = "another"
    copy = answers.with_name(f"spoilt-{answers.name}")
    with copy.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return copy


def check(python: Path, model: str, directory: Path) -> None:
    """Let the clients ask; then let them compare with a wrong answer, which they must notice."""
    rows, answers = directory / f"{model}.csv", directory / f"{model}-answers.csv"
    pegboard("predict", "--model", model, "--registry", directory / "registry", rows, answers)
    with serving(model, directory) as port:
        command = [python, HERE / "check.py", model, port, rows]
        subprocess.run([*command, answers], check=True, timeout=MOST_SECONDS)
        control = subprocess.run(
            [*command, spoilt(answers)], check=False, capture_output=True, text=True, timeout=MOST_SECONDS
        )
    if control.returncode == 0 or "AssertionError: tritonclient" not in control.stderr:
        raise SystemExit(f"{model}: a wrong answer was not noticed\n{control.stdout}{control.stderr}")
    print(f"ok  {model}: a wrong answer is noticed: {control.stderr.splitlines()[-1]}")


def main() -> None:
    python = clients_python()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        subprocess.run([PYTHON, HERE / "publish.py", directory], check=True, timeout=MOST_SECONDS)
        for model in ("house-prices", "iris"):
            check(python, model, directory)


if __name__ == "__main__":
    main()
