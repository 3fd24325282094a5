"""What the role needs said of predictions, of failures and of hosts, and Jinja says badly."""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import math
import multiprocessing
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def difference(answered: Sequence[Any], expected: Sequence[Any], tolerance: float) -> str:
    """Say where ``answered`` first differs from ``expected``, or return nothing if it nowhere does.

    Numbers are compared with the relative ``tolerance``; anything else must be equal.
    """
    if len(answered) != len(expected):
        return f"{len(answered)} predictions for {len(expected)} rows"
    rows = [
        row
        for row, pair in enumerate(zip(answered, expected, strict=True), start=1)
        if not _same(*pair, float(tolerance))
    ]
    if not rows:
        return ""
    got, wanted = answered[rows[0] - 1], expected[rows[0] - 1]
    return (
        f"{len(rows)} of {len(expected)} replayed predictions differ; the first is row {rows[0]}: "
        f"it answers {got!r}, the registry has {wanted!r} (relative tolerance {float(tolerance):g})"
    )


def _same(got: Any, wanted: Any, tolerance: float) -> bool:
    if _number(got) and _number(wanted):
        return math.isclose(got, wanted, rel_tol=tolerance)
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return ``rows`` as text: a heading, and a line for each, in columns as wide as they need be."""
    cells = [list(columns), *([str(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def reason(result: Mapping[str, Any]) -> str:
    """Say why a task has failed, from its result: of a loop, why each of its items has.

    A loop's own message tells only that items have failed, a command's only its exit status.
    """
    bad = [one for one in result.get("results", []) if one.get("failed") or one.get("unreachable")]
    if bad:
        return "; ".join(f"{_item(one)}{reason(one)}" for one in bad)
    said = [str(result.get(key) or "").strip() for key in ("msg", "stderr")]
    if "module_stderr" in result:
        said.append(str(result["module_stderr"]).strip())
    if not any(said):
        said = ["its message is not shown, since it may hold what is secret" if "censored" in result else "no message"]
    return ": ".join(dict.fromkeys(filter(None, said)))


def _item(result: Mapping[str, Any]) -> str:
    item = result.get(result.get("ansible_loop_var", "item"))
    named = item.get("item") if isinstance(item, Mapping) else item
    return f"{named}: " if isinstance(named, str) else ""


def entries(read: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return the ``entries`` of a list that a host keeps as JSON, or its ``damage``: why it is none.

    ``read`` is what slurp has brought; a file that is not there has no entries. Each entry must have all the ``keys``.
    """
    if str(read.get("msg", "")).lower().startswith("file not found"):
        return {"entries": [], "damage": ""}
    try:
        if "content" not in read:
            raise ValueError(reason(read))
        found = json.loads(base64.b64decode(read["content"]))
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError("it is not a list of entries")
        if missing := [key for one in found for key in keys if key not in one]:
            raise ValueError(f"an entry lacks {missing[0]}")
    except ValueError as error:
        return {"entries": [], "damage": str(error)}
    return {"entries": found, "damage": ""}


def common(histories: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Return where hosts with these ``histories`` can all go; nothing if there is no such version.

    Where they serve the same, it is that; else what the host that was rolled last served before, which is where the
    roll began that has not come to its end.
    """
    versions = [[one["version"] for one in history] for history in histories]
    shared = [one for one in versions[0] if all(one in other for other in versions)] if versions else []
    if len({one[-1] for one in versions}) > 1:
        before = max(histories, key=lambda history: str(history[-1]["since"]))[:-1]
        shared = [one["version"] for one in before if one["version"] in shared]
    return str(shared[-1]) if shared else ""


def signature(since: str) -> str:
    """Sign a time with who runs the playbook: ``anna@laptop 4711 2026-11-17T14:05:00+00:00 5f1c09aa``.

    The last word is the place that the process number belongs to: another machine of the same name has another.
    """
    return f"{_user()}@{socket.gethostname()} {_process()} {since} {_place()}"


def holder(signed: str) -> dict[str, Any]:
    """Say of a signature who it is of (``who``, ``since``), and whether that run is known to be ``gone``.

    Only a run of this very machine can be known to be.
    """
    words = signed.rsplit(" ", 3)
    if not signed or len(words) != 4 or not words[1].isdigit():
        return {"who": signed or "nobody", "since": "an unknown time", "gone": not signed}
    who, process, since, place = words
    gone = place == _place() and (int(process) == _process() or not _alive(int(process)))
    return {"who": f"{who} (process {process})", "since": since, "gone": gone}


def _user() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())


def _process() -> int:
    """Return the number of ansible-playbook's own process: tasks are templated in its children, too."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getpid()


def _place() -> str:
    """Return what tells this boot of this machine, and this container on it, from all others."""
    told = socket.gethostname()
    with suppress(OSError):
        told += Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        told += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


class FilterModule:
    """The filters, by the names that tasks call them by."""

    def filters(self) -> dict[str, Any]:
        """Return them by name, as Ansible asks for them."""
        return {
            "pegboard_common": common,
            "pegboard_difference": difference,
            "pegboard_entries": entries,
            "pegboard_holder": holder,
            "pegboard_reason": reason,
            "pegboard_signature": signature,
            "pegboard_table": table,
        }
