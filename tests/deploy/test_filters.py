"""The filters of the role: what differs between predictions, why tasks fail, what hosts keep, hosts as a table."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.running import ROOT

SPEC = spec_from_file_location("filters", ROOT / "ansible/roles/pegboard_serve/filter_plugins/pegboard.py")
assert SPEC
assert SPEC.loader
module = module_from_spec(SPEC)
SPEC.loader.exec_module(module)
FILTERS: dict[str, Any] = module.FilterModule().filters()
difference, table = FILTERS["pegboard_difference"], FILTERS["pegboard_table"]

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
PREDICTIONS = st.lists(NUMBERS | st.text(max_size=5), max_size=8)


@given(PREDICTIONS)
def test_predictions_do_not_differ_from_themselves_also_after_json(predictions: list[Any]) -> None:
    assert difference(json.loads(json.dumps(predictions)), predictions, 0) == ""


@given(PREDICTIONS, NUMBERS, NUMBERS, st.data())
def test_one_row_that_differs_is_found_and_named(rest: list[Any], got: float, wanted: float, data: Any) -> None:
    row = data.draw(st.integers(0, len(rest)))
    answered, expected = [*rest[:row], got, *rest[row:]], [*rest[:row], wanted, *rest[row:]]
    said = difference(answered, expected, 0)
    assert bool(said) == (got != wanted)
    assert not said or f"1 of {len(expected)} replayed predictions differ; the first is row {row + 1}: " in said


@given(st.floats(1e-3, 1e9), st.sampled_from([1e-9, 1e-6, 1e-3]), st.sampled_from([-1, 1]))
def test_the_tolerance_is_relative(value: float, tolerance: float, sign: int) -> None:
    assert difference([value * (1 + sign * tolerance / 2)], [value], tolerance) == ""
    assert difference([value * (1 + sign * tolerance * 2)], [value], tolerance)


@pytest.mark.parametrize("tolerance", [0, 0.0, "0", "1e-9"])
def test_a_tolerance_may_come_as_text_as_from_the_command_line(tolerance: Any) -> None:
    assert difference([1.0], [1.0], tolerance) == ""
    assert difference([1.1], [1.0], tolerance)


@pytest.mark.parametrize(
    ("got", "wanted"),
    [("a", "b"), ("1", 1), (None, 0), (True, 1), (0, False), (math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)],
)
def test_a_class_another_type_and_what_is_no_number_differ(got: Any, wanted: Any) -> None:
    assert "it answers" in difference([got], [wanted], 0.5)


@pytest.mark.parametrize(("got", "wanted"), [(True, True), (None, None), ("a", "a"), (1, 1.0)])
def test_equal_is_equal(got: Any, wanted: Any) -> None:
    assert difference([got], [wanted], 0) == ""


def test_every_row_needs_a_prediction() -> None:
    assert difference([1.0], [1.0, 2.0], 1) == "1 predictions for 2 rows"
    assert difference([1.0, 2.0], [1.0], 1) == "2 predictions for 1 rows"


def test_a_table_is_as_wide_as_its_widest_cell() -> None:
    hosts = [{"host": "host-1", "state": "ready", "more": "?"}, {"host": "b", "state": "unreachable"}, {"host": "c"}]
    assert table(hosts, ["host", "state"]) == "host    state\nhost-1  ready\nb       unreachable\nc"


CELLS = st.text(st.characters(categories=["L", "N"]), max_size=6)


@given(st.lists(st.fixed_dictionaries({}, optional={"a": CELLS, "b": CELLS}), max_size=5))
def test_columns_begin_at_one_place(rows: list[dict[str, str]]) -> None:
    lines = table(rows, ["a", "b"]).split("\n")
    begin = lines[0].index("b")
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert (line[:begin].rstrip(), line[begin:]) == (row.get("a", ""), row.get("b", ""))


reason, entries, common = FILTERS["pegboard_reason"], FILTERS["pegboard_entries"], FILTERS["pegboard_common"]
signature, holder = FILTERS["pegboard_signature"], FILTERS["pegboard_holder"]
SINCE = "2026-11-17T14:05:00+00:00"


@pytest.mark.parametrize(("result", "told"), [
    ({}, "no message"),
    ({"msg": "  no\n"}, "no"),
    ({"msg": "non-zero return code", "stderr": "it says no\n", "rc": 1}, "non-zero return code: it says no"),
    ({"msg": "MODULE FAILURE", "module_stderr": "no python"}, "MODULE FAILURE: no python"),
    ({"msg": "twice", "stderr": "twice"}, "twice"),
    ({"msg": None, "stderr": None}, "no message"),
    ({"censored": "the output has been hidden"}, "its message is not shown, since it may hold what is secret"),
    ({"msg": "One or more items failed", "results": [
        {"item": "balancer-1", "failed": False, "msg": "fine"},
        {"item": "balancer-2", "failed": True, "msg": "not UP"},
        {"item": {"item": "balancer-3", "status": "UP"}, "unreachable": True, "msg": "no route"},
        {"item": {"name": "x"}, "failed": True, "msg": "of a dict"},
        {"ansible_loop_var": "own", "own": "a", "failed": True, "msg": "own name"},
    ]}, "balancer-2: not UP; balancer-3: no route; of a dict; a: own name"),
    ({"msg": "not a loop's", "results": []}, "not a loop's"),
])  # fmt: skip
def test_a_reason_is_what_a_person_can_act_on(result: dict[str, Any], told: str) -> None:
    assert reason(result) == told


def _kept(text: str) -> dict[str, str]:
    return {"content": base64.b64encode(text.encode()).decode()}


def test_what_a_host_keeps_is_read_or_said_to_be_damaged() -> None:
    whole = [{"a": 1, "b": 2}]
    assert entries(_kept(json.dumps(whole)), ["a"]) == {"entries": whole, "damage": ""}
    assert entries({"failed": False, "msg": "File not found: /x"}, ["a"]) == {"entries": [], "damage": ""}
    for read, told in (
        (_kept("[{"), "Expecting property name"),
        (_kept(""), "Expecting value"),
        (_kept("{}"), "it is not a list of entries"),
        (_kept("[1]"), "it is not a list of entries"),
        (_kept('[{"b": 1}]'), "an entry lacks a"),
        ({"content": base64.b64encode(b"\xff").decode()}, "can't decode"),
        ({"msg": "file is not readable: /x"}, "file is not readable: /x"),
    ):
        found = entries(read, ["a"])
        assert found["entries"] == []
        assert told in found["damage"]


# Each entry is a version and the time since when it served.
@pytest.mark.parametrize(("histories", "version"), [
    ([], ""), (["10 21", "13 24"], "2"), (["10 21", "10"], "1"), (["10 21 12 25", "10 21 13"], "1"),
    (["10 21 12", "10 21 13 25"], "1"), (["10 21 32", "33 14 25"], "1"), (["10 21", "33"], ""),
])  # fmt: skip
def test_hosts_go_where_the_roll_began_that_has_not_come_to_its_end(histories: list[str], version: str) -> None:
    assert common([[{"version": one[0], "since": one[1]} for one in row.split()] for row in histories]) == version


def _ended() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_who_holds_a_host_is_told_and_only_a_run_of_this_machine_is_known_to_be_gone() -> None:
    who, process, since, place = signature(SINCE).split(" ")
    assert (int(process), since) == (os.getpid(), SINCE)

    def held(number: int, at: str = place) -> dict[str, Any]:
        return dict(holder(f"{who} {number} {SINCE} {at}"))

    assert held(os.getppid()) == {"who": f"{who} (process {os.getppid()})", "since": SINCE, "gone": False}
    assert held(1)["gone"] is False
    assert held(_ended())["gone"] is True
    assert held(2**64)["gone"] is True
    assert held(_ended(), "00000000")["gone"] is False
    # A number that came back to this very run was another's.
    assert held(os.getpid())["gone"] is True


@pytest.mark.parametrize("text", ["somebody", "a b c d", "anna@laptop 12 now"])
def test_a_holder_that_is_written_otherwise_is_shown_and_stays(text: str) -> None:
    assert holder(text) == {"who": text, "since": "an unknown time", "gone": False}


def test_nobody_is_gone() -> None:
    assert holder("")["gone"] is True


def test_a_task_s_process_signs_as_the_playbook_s() -> None:
    context = get_context("fork")
    signed = context.SimpleQueue()
    worker = context.Process(target=lambda: signed.put(signature(SINCE)))
    worker.start()
    assert signed.get() == signature(SINCE)
    worker.join()
