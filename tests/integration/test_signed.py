"""From a key to a signed version that an environment takes, and to those that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
QUICK = ("--source", "house-prices", "--model", "linear-regression", "--folds", "2")
CONFIG = """
[environments.production]
trusted_keys = ["release.pub"]
"""


def test_what_is_trained_with_a_key_is_taken_where_that_key_is_trusted(pegboard: Command, tmp_path: Path) -> None:
    key = json.loads(pegboard("keys", "new", "release", "--json").stdout)["id"]
    pegboard("keys", "new", "other")
    (tmp_path / "pegboard.toml").write_text(CONFIG)
    (tmp_path / "rows.csv").write_text("LotArea\n1\n")
    for signing_key in ("release.key", "other.key", ""):
        pegboard("train", *QUICK, PEGBOARD_SIGNING_KEY=signing_key)

    def signers(version: int) -> list[str]:
        shown = json.loads(pegboard("models", "show", f"house-prices/{version}", "--json").stdout)
        signed: list[str] = shown["signatures"]
        return signed

    def refused(version: int) -> str:
        arguments = ("predict", "rows.csv", "out.csv", "--env", "production", "--model", f"house-prices/{version}")
        message: str = pegboard(*arguments, status=1).stderr
        return message

    assert signers(1) == [key]
    assert len(signers(2)) == 1
    assert signers(3) == []
    assert "rows do not fit the signature" in refused(1), "it was loaded, and asked"
    assert f"house-prices/2 is signed by {signers(2)[0]} only, which is not trusted here (trusted: {key})" in refused(2)
    assert "house-prices/3 is not signed, and signatures are required here" in refused(3)

    assert pegboard("models", "sign", "house-prices/3", "--key", "release.key").stdout == (
        f"house-prices/3: signed by {key}\n"
    )
    assert "rows do not fit the signature" in refused(3)
    assert "has signed it before" in pegboard("models", "sign", "house-prices/3", "--key", "release.key").stdout


def test_a_key_that_is_not_there_stops_a_run_before_it_begins(pegboard: Command) -> None:
    lost = pegboard("train", *QUICK, status=1, PEGBOARD_SIGNING_KEY="lost.key").stderr
    assert "cannot read the key lost.key: No such file or directory; `pegboard keys new NAME` makes a pair" in lost
    assert "validate" not in lost
    assert json.loads(pegboard("runs", "list", "--json").stdout) == []
