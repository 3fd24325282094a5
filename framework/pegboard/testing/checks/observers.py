"""What must hold of an observer: it takes what its hook gives it, and raises nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import Any

from pegboard.manager import Manager
from pegboard.testing.events import payload
from pegboard.testing.kit import Failed, Subject, attempting, check


@check("observer", "takes-its-arguments", "told of something that has really happened, it raises nothing")
def takes_its_arguments(subject: Subject) -> None:
    """Called as a run calls it, by a manager that knows no other plugin.

    What it writes into the working directory is gone with the kit: a check leaves nothing beside an author's sources.
    """
    manager, plugin = Manager(), subject.thing.plugin
    manager.add(subject.kit.manager.module(plugin), plugin)
    with attempting("preparing something to observe"):
        given = payload(subject.thing.name, subject.kit)
    with _logged() as messages, chdir(subject.kit.directory()):
        taken = manager.notify(subject.thing.name, **given)
    if not taken:
        raise Failed(messages[-1] if messages else f"it failed in {subject.thing.name}")


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what the manager says, instead of showing it."""
    messages: list[str] = []
    logger, handler = logging.getLogger("pegboard"), _Collector(messages)
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    try:
        yield messages
    finally:
        logger.handlers, logger.propagate = handlers, propagate


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: Any) -> None:
        self.messages.append(record.getMessage())
