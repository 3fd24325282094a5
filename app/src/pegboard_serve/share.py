"""How the connections of one port are shared out among processes.

All of them accept from the same queue. Of connections that come at once the process that wakes first would take all,
and the others would idle; so a process that has more than another lets a moment pass before it takes the next.
"""

from __future__ import annotations

from collections.abc import MutableSequence

#: How long a process leaves a connection to the others, in seconds: time enough to wake up.
MOMENT = 0.002
#: The count of a process that takes no connection.
CLOSED = 2**31 - 1


class Share:
    """One process's place among all: ``counts`` are the connections of each, in memory that all of them see."""

    def __init__(self, counts: MutableSequence[int], index: int) -> None:
        self._counts = counts
        self._index = index

    def report(self, connections: int) -> None:
        """Tell the others how many connections this process has."""
        self._counts[self._index] = connections

    def close(self) -> None:
        """Tell the others that this process takes no more."""
        self.report(CLOSED)

    def is_above(self) -> bool:
        """Say whether another process has fewer connections."""
        return self._counts[self._index] > min(self._counts)
