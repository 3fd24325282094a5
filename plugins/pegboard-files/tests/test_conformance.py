"""The framework's own checks of sources."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pegboard.testing import conformance

DIRECTORY = tempfile.TemporaryDirectory(prefix="pegboard-files-")
TABLE = Path(DIRECTORY.name) / "houses.csv"
ROWS = (f"{i},{50 + i % 7}.5,{'abc'[i % 3]},{1000.5 * (i % 11)}\n" for i in range(60))
TABLE.write_text("id,area,style,price\n" + "".join(ROWS))

test_conformance = conformance(
    "files",
    options={
        "files": {
            "path": str(TABLE),
            "target": "price",
            "keys": ["id"],
            "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "area"}}],
        }
    },
)
