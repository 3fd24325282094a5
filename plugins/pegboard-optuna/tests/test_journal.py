"""What was tried is kept: a search goes on where it was, however it ended, and says what is wrong where it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pegboard import PegboardError
from pegboard.tuning import Search, StopSearch, Tuned

Make = Callable[..., Search]
Tune = Callable[[Search], Tuned]


def refuse(*_: Any) -> tuple[float, ...]:
    raise AssertionError("nothing was to be tried")


def journal(made: Search) -> Path:
    (file,) = made.directory.glob("*.journal")
    return file


def test_twenty_trials_after_eight_are_twelve_more_and_the_same_as_twenty_at_once(
    search: Make, tune: Tune, tmp_path: Path
) -> None:
    whole = tune(search(20, directory=tmp_path / "whole"))
    tune(search(8))
    told: list[int] = []
    resumed = tune(search(20, on_trial=lambda trial: told.append(trial.number)))
    assert told == list(range(8, 20))
    assert resumed.resumed == 8
    assert resumed.trials == whole.trials


def test_a_budget_that_was_spent_before_tries_nothing_and_forgets_nothing(search: Make, tune: Tune) -> None:
    first = tune(search(9))
    for trials in (9, 4):
        assert tune(search(trials, evaluate=refuse)) == replace(first, resumed=9)


def test_other_data_or_another_model_begin_anew(search: Make, tune: Tune) -> None:
    tune(search(6))
    assert tune(search(6, identity="e" * 64)).resumed == 0
    assert tune(search(6, model="other")).resumed == 0
    assert tune(search(6, evaluate=refuse)).resumed == 6


@pytest.mark.parametrize("fold", range(5))
def test_a_trial_that_was_stopped_counts_for_nothing_and_comes_again(
    fold: int, search: Make, tune: Tune, tmp_path: Path
) -> None:
    whole = tune(search(10, directory=tmp_path / "whole"))
    made = search(10)

    def evaluate(params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
        def stopped(number: int, score: float) -> bool:
            if number == fold and params == whole.trials[3].params:
                raise StopSearch
            return after_fold(number, score)

        return made.evaluate(params, stopped)

    assert tune(replace(made, evaluate=evaluate)).trials == whole.trials[:3]
    assert tune(made) == replace(whole, resumed=3)


KILLED = """
import os, signal, sys
from pathlib import Path
from pegboard import Integer
from pegboard.tuning import Budget, Search
from pegboard_optuna.plugin import register_tuners

tried = 0

def evaluate(params, after_fold):
    global tried
    tried += 1
    for fold in range(3):
        if (tried, fold) == (5, 2):
            print("killing myself in the fifth trial", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if not after_fold(fold, float(params["depth"] + fold)):
            break
    return tuple(float(params["depth"] + n) for n in range(fold + 1))

search = Search("formula", {"depth": Integer(1, 50)}, {"depth": 50}, False, 3, 7, Budget(trials=9), "1" * 64,
                Path(sys.argv[1]), evaluate, lambda trial: None)
(tuner,) = register_tuners()
found = tuner.tune(search)
print(found.resumed, [(t.number, t.params["depth"], len(t.scores)) for t in found.trials])
"""


def test_a_search_whose_process_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def run(code: str, place: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / place)], capture_output=True, text=True, check=False
        )

    whole = run(KILLED.replace("(5, 2)", "None"), "whole")
    assert (whole.returncode, whole.stdout.split()[0]) == (0, "0"), whole.stderr
    killed = run(KILLED, "killed")
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "killing myself in the fifth trial\n")
    # Five more: the fifth again, and the four behind it.
    resumed = run(KILLED.replace("(5, 2)", "(6, 0)"), "killed")
    assert (resumed.returncode, resumed.stdout) == (0, whole.stdout.replace("0", "4", 1)), resumed.stderr


def test_two_runs_of_one_search_at_a_time_are_refused(search: Make, tune: Tune, tmp_path: Path) -> None:
    made = search(3)
    tune(made)
    lock = journal(made).with_suffix(".lock")
    hold = (
        f"import fcntl; f = open({str(lock)!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            PegboardError, match=r"another run goes on with the same search .*: wait until it has ended"
        ):
            tune(made)
        other.kill()
    assert tune(made).resumed == 3


def test_a_line_that_was_cut_off_is_dropped(search: Make, tune: Tune) -> None:
    whole = tune(search(6))
    file = journal(search())
    with file.open("ab") as handle:
        handle.write(b'{"op_code":4,"worker_id":"cut o')
    assert tune(search(6, evaluate=refuse)) == replace(whole, resumed=6)
    assert tune(search(8)).trials[:6] == whole.trials
    assert tune(search(8, evaluate=refuse)).resumed == 8


@pytest.mark.parametrize("place", [0, 3, -1])
@pytest.mark.parametrize("line", [b"\x00\x00\x00", b"{}", b'{"op_code":6}', b"[1]"])
def test_a_damaged_journal_says_which_file_and_what_to_do(place: int, line: bytes, search: Make, tune: Tune) -> None:
    tune(search(4))
    file = journal(search())
    lines = file.read_bytes().splitlines()
    lines[place] = line
    file.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(PegboardError, match="is damaged") as caught:
        tune(search(5))
    assert str(file) in str(caught.value)
    assert str(caught.value).endswith("restore it from a copy, or remove it to search anew")


def test_values_that_are_not_of_the_search_are_damage_too(search: Make, tune: Tune) -> None:
    tune(search(4))
    file = journal(search())
    file.write_bytes(file.read_bytes().replace(b'"scores":[', b'"scores":[1.0,'))
    with pytest.raises(PegboardError, match=r"is damaged: .* trial 0 is not of this search"):
        tune(search(5))


def test_a_directory_that_cannot_be_made_is_an_error_with_its_name(search: Make, tune: Tune, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PegboardError, match=r"trials cannot be kept in .*file/tuning: .* run in a directory"):
        tune(search(2, directory=tmp_path / "file" / "tuning"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_an_error_that_says_where(search: Make, tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    made = search(4)

    def evaluate(params: Mapping[str, Any], after_fold: Callable[[int, float], bool]) -> tuple[float, ...]:
        file = journal(made)
        kept = file.rename(file.with_suffix(".kept"))
        file.symlink_to("/dev/full")
        try:
            return made.evaluate(params, after_fold)
        finally:
            kept.rename(file)

    with pytest.raises(PegboardError, match=r"cannot be written to .*: No space left on device; make room there"):
        tune(replace(made, evaluate=evaluate))
    assert tune(made).resumed == 0
