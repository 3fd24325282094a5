"""The same table out of PostgreSQL and SQLite is the same to everything that follows."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.datasets import load_diabetes

COLUMNS = "age, sex, bmi, bp, s1, target"


def trained(directory: Path, url: str, query: str) -> tuple[dict[str, Any], str]:
    """Train through the command line; return what it says, and everything that was written."""
    pegboard = str(Path(sys.executable).with_name("pegboard"))
    options = [f"url_variable={json.dumps('DATABASE_URL')}", f"query={json.dumps(query)}", "target=target"]
    command = [pegboard, "train", "--json", "--source", "sql", "--name", "diabetes", "--model", "linear-regression"]
    command += ["--folds", "3", "--isolation", "thread"]
    command += [part for option in options for part in ("--set", option)]
    environ = {**os.environ, "DATABASE_URL": url, "PEGBOARD_LOAD_PLUGINS": "sql,sklearn"}
    directory.mkdir()
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    written = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return json.loads(done.stdout), b"".join(written).decode("utf-8", "replace") + done.stdout + done.stderr


def test_the_leaderboard_and_the_fingerprint_are_the_same_and_no_password_is_written(
    server: Any, execute: Callable[..., Any], tmp_path: Path
) -> None:
    from urllib.parse import unquote, urlsplit

    frame = load_diabetes(as_frame=True).frame[COLUMNS.split(", ")]
    rows = [tuple(map(float, row)) for row in frame.itertuples(index=False)]
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute(f"create table d (id integer, {COLUMNS.replace(',', ' real,')} real)")
        connection.executemany("insert into d values (?, ?, ?, ?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
    connection.close()
    values = ", ".join(f"({i}, {', '.join(map(repr, row))})" for i, row in enumerate(rows))
    kinds = COLUMNS.replace(",", " double precision,") + " double precision"
    execute("drop table if exists d", f"create table d (id integer, {kinds})", f"insert into d values {values}")

    query = f"select {COLUMNS} from d order by id"
    theirs, written = trained(tmp_path / "postgresql", server.url(), query)
    ours, _ = trained(tmp_path / "sqlite", f"sqlite:///{tmp_path / 'd.db'}", query)

    assert _scores(theirs) == _scores(ours)
    assert (
        _manifest(tmp_path / "postgresql")["data"]["fingerprint"]
        == _manifest(tmp_path / "sqlite")["data"]["fingerprint"]
    )
    origin = _manifest(tmp_path / "postgresql")["data"]["origin"]
    assert origin.startswith("postgresql ")
    assert origin.endswith(query)
    secret = urlsplit(server.url()).password
    assert secret
    assert secret not in written
    assert unquote(secret) not in written


def _scores(run: dict[str, Any]) -> list[Any]:
    return [(row["name"], row["scores"]) for row in run["leaderboard"]["candidates"]]


def _manifest(directory: Path) -> dict[str, Any]:
    (path,) = directory.glob("registry/bundles/*/*/manifest.json")
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest
