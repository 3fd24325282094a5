"""Who fits next: workers are few, and searches many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf

from pegboard.tuning import StopSearch


class Turns:
    """Gives at most ``workers`` turns at a time, the next one to whoever has used the least time in turns so far.

    After ``seconds`` on the clock there are no more turns; one that has begun is not cut short.
    """

    def __init__(
        self, names: Sequence[str], workers: int, clock: Callable[[], float], seconds: float | None = None
    ) -> None:
        self._free, self._clock = workers, clock
        self._until = inf if seconds is None else clock() + seconds
        self._used = dict.fromkeys(names, 0.0)
        self._waiting = set[str]()
        self._changed = threading.Condition()
        self._stopped = False

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Wait for a turn and hold it for the block.

        Raises :class:`~pegboard.tuning.StopSearch` if there are no more, and after a turn within which :meth:`stop` was
        called.
        """
        self._begin(name)
        start = self._clock()
        try:
            yield
        finally:
            self._end(name, self._clock() - start)
        if self._stopped:
            raise StopSearch

    def stop(self) -> None:
        """Give no more turns."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _begin(self, name: str) -> None:
        with self._changed:
            self._waiting.add(name)
            self._changed.wait_for(lambda: self._over() or (self._free > 0 and self._next() == name))
            self._waiting.discard(name)
            self._changed.notify_all()
            if self._over():
                raise StopSearch
            self._free -= 1

    def _end(self, name: str, took: float) -> None:
        with self._changed:
            self._free += 1
            self._used[name] += took
            self._changed.notify_all()

    def _over(self) -> bool:
        return self._stopped or self._clock() >= self._until

    def _next(self) -> str:
        return min(self._waiting, key=lambda name: (self._used[name], name))
