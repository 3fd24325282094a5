"""The sources of any table, end to end: the same rows from a file and a database are the same experiment."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from sklearn.datasets import load_diabetes

COLUMNS = ["age", "bmi", "bp", "target"]


def trained(directory: Path, source: str, *settings: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train in a directory of its own; return what the command says, and the version's manifest."""
    directory.mkdir()
    command = [str(Path(sys.executable).with_name("pegboard")), "train", "--json", "--source", source]
    command += ["--name", "diabetes", "--isolation", "thread", "--folds", "3", "--model", "linear-regression"]
    command += [part for setting in settings for part in ("--set", setting)]
    environ = {**os.environ, "PEGBOARD_LOAD_PLUGINS": "files,sql,sklearn"}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (manifest,) = directory.glob("registry/bundles/*/*/manifest.json")
    return json.loads(done.stdout), json.loads(manifest.read_text())


def scores(run: dict[str, Any]) -> list[tuple[str, list[float]]]:
    return [(candidate["name"], candidate["scores"]) for candidate in run["leaderboard"]["candidates"]]


def test_a_table_is_the_same_experiment_out_of_a_file_and_out_of_a_database(tmp_path: Path) -> None:
    frame = load_diabetes(as_frame=True).frame[COLUMNS]
    frame.to_csv(tmp_path / "diabetes.csv", index=False)
    with sqlite3.connect(tmp_path / "diabetes.db") as connection:
        frame.to_sql("diabetes", connection, index_label="id")
    connection.close()

    file = trained(tmp_path / "file", "files", "path=../diabetes.csv", "target=target")
    query = f"select {', '.join(COLUMNS)} from diabetes order by id"
    database = trained(tmp_path / "database", "sql", "url=sqlite:///../diabetes.db", f"query={query}", "target=target")

    assert scores(file[0]) == scores(database[0])
    assert file[1]["data"]["fingerprint"] == database[1]["data"]["fingerprint"]
    assert file[1]["data"]["origin"].startswith("../diabetes.csv (")
    assert database[1]["data"]["origin"].endswith(query)
