"""Serving from a bucket, by the name of an environment: the store may go away, and what serves goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pegboard.registry import Registry

CONFIG = """
[experiment]
source = "iris"
registry = "{location}"

[environments.production]
alias = "live"
[environments.production.serving]
max_rows = 2
strict = true
"""


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


@pytest.fixture
def live(bucket: str, train_into: Callable[..., None], tmp_path: Path) -> Registry:
    """A bucket with iris/1, which is live; in the working directory, a file that says so."""
    train_into(bucket, {"iris": ["logistic-regression"]})
    (tmp_path / "pegboard.toml").write_text(CONFIG.format(location=bucket))
    registry = Registry(bucket)
    registry.promote("iris/1", "live", environment="production")
    return registry


def test_a_server_goes_on_and_even_starts_while_the_store_is_away(
    live: Registry, gateway: Any, bucket: str, tmp_path: Path, serving: Callable[..., AbstractContextManager[str]]
) -> None:
    replay = live.open(live.resolve("iris@live")).replay()
    row, expected = replay["rows"][0], replay["predictions"][0]
    with serving(bucket, tmp_path, "--env", "production", "--poll", "0.2") as url:
        assert ask(f"{url}/predict", row)["predictions"] == [expected]
        gateway.allowance = 0
        while "going on from what was read before" not in (tmp_path / "errors").read_text():
            assert ask(f"{url}/predict", row)["predictions"] == [expected]
        ready = ask(f"{url}/ready")
        assert (ready["status"], ready["version"], ready["failed_reload"]) == ("ready", 1, None)

    with serving(bucket, tmp_path, "--env", "production") as url:
        assert ask(f"{url}/predict", row)["predictions"] == [expected]
        assert "going on from what was read before" in (tmp_path / "errors").read_text()
        gateway.allowance = sys.maxsize  # back


def test_a_server_is_told_location_and_alias_in_one_name_and_follows_the_alias(
    live: Registry, gateway: Any, bucket: str, train_into: Callable[..., None], tmp_path: Path,
    serving: Callable[..., AbstractContextManager[str]],
) -> None:  # fmt: skip
    train_into(bucket, {"iris": ["logistic-regression"]})
    row = live.open(live.resolve("iris/1")).replay()["rows"][0]
    with serving(tmp_path / "no registry", tmp_path, f"{bucket}/iris@live", "--poll", "0.2") as url:
        assert ask(f"{url}/predict", row)["version"] == 1
        live.promote("iris/2", "live")
        while ask(f"{url}/ready")["version"] != 2:
            pass
        assert ask(f"{url}/predict", row)["version"] == 2
        gateway.allowance = 0
        while "going on from what was read before" not in (tmp_path / "errors").read_text():
            assert ask(f"{url}/predict", row)["version"] == 2
    with serving(tmp_path / "no registry", tmp_path, f"{bucket}/iris@live") as url:
        assert ask(f"{url}/predict", row)["version"] == 2, "it starts from the cache"


def test_a_server_that_has_never_seen_the_store_says_that_it_is_away(
    live: Registry, gateway: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(live.resolve("iris@live")) == "iris/1"
    gateway.allowance = 0
    monkeypatch.setenv("PEGBOARD_CACHE", str(tmp_path / "another"))
    command = [sys.executable, "-m", "pegboard", "serve", "--env", "production", "--port", "0"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {bucket}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "accepted"), [((), 2), (("--max-rows", "3"), 3)], ids=["the environment's", "the flag's"]
)
@pytest.mark.usefixtures("live")
def test_an_environment_says_how_it_is_served_and_flags_say_otherwise(
    bucket: str, tmp_path: Path, serving: Callable[..., AbstractContextManager[str]], arguments: tuple[str, ...],
    accepted: int,
) -> None:  # fmt: skip
    row = Registry(bucket).open(Registry(bucket).resolve("iris")).replay()["rows"][0]
    with serving(bucket, tmp_path, "--env", "production", *arguments) as url:
        assert len(ask(f"{url}/predict", [row] * accepted)["predictions"]) == accepted
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{url}/predict", [row] * (accepted + 1))
        assert refused.value.code == 413


@pytest.mark.parametrize(
    ("serving_table", "message"),
    [
        ("max_row = 3", "[environments.production.serving]: unknown setting 'max_row'; did you mean 'max_rows'?"),
        ('max_rows = "many"', "[environments.production.serving]: max_rows: 'many' is not a valid int"),
        ("max_rows = 0", "[environments.production.serving]: max_rows: 0 is not in the range x>=1."),
    ],
)
def test_a_setting_of_serving_that_is_wrong_is_refused_by_its_place(
    tmp_path: Path, pegboard: Callable[..., Any], write_bundle: Callable[..., Path], serving_table: str, message: str
) -> None:
    Registry(tmp_path / "registry").publish(write_bundle(tmp_path))
    (tmp_path / "pegboard.toml").write_text(f"[environments.production.serving]\n{serving_table}\n")
    assert message in pegboard("serve", "--env", "production", status=1).stderr


def test_an_environment_and_a_version_are_one_too_many(tmp_path: Path, pegboard: Callable[..., Any]) -> None:
    refused = pegboard("serve", "house/7", "--env", "production", status=2).stderr
    assert "name an environment or a version: production serves what its alias points at" in refused
