"""Times as people give and read them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

import click

#: What ``--since`` counts in, in hours.
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


class Time(click.ParamType[datetime]):
    """A time in ISO 8601; without a zone it is this machine's local time, and a date alone is the end of that day."""

    name = "time"

    def convert(self, value: object, _: click.Parameter | None, __: click.Context | None) -> datetime:
        """Return the time with its zone."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            return (_end_of_day(text) or datetime.fromisoformat(text)).astimezone()
        except (ValueError, OverflowError):  # of what is no time, or is one before the year 1 in another zone
            self.fail(f'{text!r} is not a time: write "2026-11-17T14:05", or with a zone "2026-11-17T14:05+01:00"')


class Since(click.ParamType[datetime]):
    """A span back from now (``12h``, ``7d``, ``2w``), or a time in ISO 8601; a date alone is the day's beginning."""

    name = "since"

    def convert(self, value: object, _: click.Parameter | None, __: click.Context | None) -> datetime:
        """Return the time with its zone; without one it is this machine's local time."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            if span := re.fullmatch(r"([0-9]{1,6})([hdw])", text):
                return datetime.now(UTC) - timedelta(hours=int(span[1]) * _HOURS[span[2]])
            return datetime.fromisoformat(text).astimezone(UTC).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a span (12h, 7d, 2w) nor a time (2026-11-01, 2026-11-01T14:05)")


def _end_of_day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time.max)
    except ValueError:
        return None


def local(at: str | datetime) -> str:
    """Write a ledger's time in this machine's zone, to the second."""
    when = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def both(when: datetime) -> str:
    """Write a time with its zone, and in UTC."""
    utc = when.astimezone(UTC)
    here = when.strftime("%Y-%m-%d %H:%M:%S %Z")
    return here if when.utcoffset() == utc.utcoffset() else f"{here} ({utc:%Y-%m-%d %H:%M:%S} UTC)"
