"""The command of the README, as it is written there."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from inspect import signature
from pathlib import Path

from sklearn.datasets import load_wine

from pegboard_sql.plugin import configure

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for line in README.splitlines() if line.startswith("pegboard ")]


def test_every_command_runs(tmp_path: Path) -> None:
    wine = load_wine(as_frame=True)
    frame = wine.data.assign(**{"class": wine.target_names[wine.target]})
    with sqlite3.connect(tmp_path / "wine.db") as connection:
        frame.to_sql("wine", connection, index_label="id")
    connection.close()
    environ = {**os.environ, "PEGBOARD_LOAD_PLUGINS": "sql,sklearn", "PEGBOARD_ISOLATION": "thread"}
    (command,) = COMMANDS
    arguments = shlex.split(command)
    arguments[0] = str(Path(sys.executable).with_name("pegboard"))
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "published wine/1" in done.stdout


def test_every_option_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(signature(configure).parameters)
