"""The framework's own checks of sources."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from pegboard.testing import conformance

DIRECTORY = tempfile.TemporaryDirectory(prefix="pegboard-sql-")
DATABASE = Path(DIRECTORY.name) / "table.db"

with sqlite3.connect(DATABASE) as connection:
    connection.execute("create table houses (id integer, area real, style text, price real)")
    houses = [(i, 50.0 + i % 7, "abc"[i % 3], 1000.5 * (i % 11)) for i in range(60)]
    connection.executemany("insert into houses values (?, ?, ?, ?)", houses)
connection.close()

test_conformance = conformance(
    "sql",
    options={
        "sql": {
            "url": f"sqlite:///{DATABASE}",
            "query": "select * from houses order by id",
            "target": "price",
            "keys": ["id"],
            "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "area"}}],
        }
    },
)
