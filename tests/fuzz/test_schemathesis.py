"""Schemathesis asks every route of a running server what /openapi.json allows, and what it does not.

All its checks are on: no 5xx; status, media type, headers and body as described; what the schema forbids is refused and
what it allows is answered; other methods get 405 with Allow; no route that asks for a token answers without one.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIG = Path(__file__).with_name("schemathesis.toml")
TOKEN = "a-token-for-fuzzing"
#: In each of the four runs, so more than 2,000 in all.
FEWEST_CASES = 600

Serve = Callable[..., str]


@pytest.mark.slow
@pytest.mark.parametrize("strict", [[], ["--strict"]], ids=["lenient", "strict"])
@pytest.mark.parametrize("model", ["house-prices", "iris"])
def test_no_case_of_hundreds_is_answered_outside_the_description(
    serve: Serve, tmp_path: Path, model: str, strict: list[str]
) -> None:
    found = report(f"{serve(model, *strict)}/openapi.json", tmp_path)
    assert_nothing_found(found)


@pytest.mark.slow
def test_a_server_with_tokens_keeps_to_its_description_and_answers_nothing_without_one(
    serve: Serve, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"fuzz {hashlib.sha256(TOKEN.encode()).hexdigest()} admin\n")
    url = serve("iris", "--tokens", str(tokens))
    found = report(f"{url}/openapi.json", tmp_path, "--header", f"Authorization: Bearer {TOKEN}")
    assert_nothing_found(found)
    assert found["warnings"]["missing_auth"] == []  # the token opened every route


def report(url: str, directory: Path, *options: str) -> dict[str, Any]:
    file = directory / "report.json"
    command = [SCHEMATHESIS, "--config-file", str(CONFIG), "run", url, "--report", "json", "--report-json-path", file]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--no-shrink", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    assert file.exists(), done.stdout + done.stderr
    print(done.stdout)  # shown when the test fails: how to repeat each finding
    return json.loads(file.read_text())


def assert_nothing_found(found: dict[str, Any]) -> None:
    assert [(f["title"], f["operations"]) for f in found["failures"]] == []
    assert found["errors"] == []
    assert (found["complete"], found["exit_code"]) == (True, 0)
    assert found["operations"]["tested"] == found["operations"]["total"] >= 20
    assert found["test_cases"]["generated"] >= FEWEST_CASES
