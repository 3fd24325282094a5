"""``pegboard train --tune`` as a user meets it: its error without a tuner, its lines, and Ctrl-C in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PEGBOARD = str(Path(sys.executable).with_name("pegboard"))
PLUGINS = "house-prices,sklearn,optuna"
TRAIN = ("train", "--source", "house-prices", "--model", "svr", "--folds", "2")


def environment(plugins: str = PLUGINS) -> dict[str, str]:
    return {**os.environ, "PEGBOARD_LOAD_PLUGINS": plugins}


def run(directory: Path, *arguments: str, plugins: str = PLUGINS) -> subprocess.CompletedProcess[str]:
    command = [PEGBOARD, *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment(plugins), capture_output=True, text=True, timeout=300, check=False
    )


def test_without_the_plugin_the_error_says_what_to_install(tmp_path: Path) -> None:
    done = run(tmp_path, *TRAIN, "--tune", "5", plugins="house-prices,sklearn")
    assert done.returncode != 0
    assert "no tuner named 'optuna' is installed and loaded: pip install pegboard-optuna" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_search_and_the_next_run_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [PEGBOARD, *TRAIN, "--tune", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while _ended_trials(tmp_path) < 3:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=120)
        finally:
            process.kill()  # or leaving would wait for ever
    assert (process.returncode, said.endswith("Aborted!\n")) == (1, True), said
    assert "Traceback" not in said
    shown = json.loads(run(tmp_path, "runs", "show", "1", "--json").stdout)
    assert (shown["status"], shown["error"]["stage"]) == ("interrupted", "tune")

    done = run(tmp_path, *TRAIN, "--tune", "1")
    assert done.returncode == 0, done.stderr
    (tuning,) = json.loads(run(tmp_path, "runs", "show", "2", "--json").stdout)["tuning"]
    assert tuning["resumed"] == len(tuning["trials"]) >= 3
    assert f"svr: {tuning['resumed']} trials" in done.stderr
    assert f"svr: {tuning['resumed']} trials" in run(tmp_path, "runs", "show", "2").stdout


def _ended_trials(directory: Path) -> int:
    lines = [line for file in directory.glob(".pegboard/tuning/*.journal") for line in file.read_bytes().splitlines()]
    return sum(b'"state":1' in line or b'"state":2' in line for line in lines)
