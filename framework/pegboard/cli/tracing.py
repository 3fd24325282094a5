"""``pegboard --trace``: each call of a plugin as it happens, and all of them by time when the command ends."""

from __future__ import annotations

import logging
from collections import defaultdict

import click

from pegboard.manager import HookCall

#: So many lines sum up.
SHOWN = 15


class Trace(logging.Handler):
    """Writes the calls that are logged to standard error, and keeps their times."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds: dict[tuple[str, str], list[float]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one call."""
        call = record.msg
        if isinstance(call, HookCall):
            self._seconds[str(call.plugin), call.hook].append(call.seconds)
            click.secho(f"trace: {call}", dim=True, err=True)

    def summary(self) -> None:
        """Write the calls that took most of the time, those of one hook of one plugin together."""
        by_time = sorted(self._seconds.items(), key=lambda item: -sum(item[1]))
        count, total = sum(map(len, self._seconds.values())), sum(map(sum, self._seconds.values()))
        click.secho(f"trace: {count} calls of plugins took {total * 1000:.1f} ms; most of it:", dim=True, err=True)
        for (plugin, hook), seconds in by_time[:SHOWN]:
            times = f" ({len(seconds)} times)" if len(seconds) > 1 else ""
            click.secho(f"trace: {sum(seconds) * 1000:10.2f} ms  {plugin} {hook}{times}", dim=True, err=True)
