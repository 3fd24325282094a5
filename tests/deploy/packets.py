"""Counts what leaves this machine for addresses that must not be asked, and lets nothing through to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.deploy.running import run

CHAIN = "PEGBOARD-DEPLOY"


class Packets:
    """Counters, one for each address; a forbidden one's packets are dropped."""

    def sent(self) -> dict[str, int]:
        """Return how many packets were sent to each address so far."""
        rows = [row.split() for row in run("iptables", "-w", "-nvxL", CHAIN).stdout.splitlines()[2:]]
        return {row[-1]: int(row[0]) for row in rows}


@contextmanager
def counted(forbidden: Sequence[str], allowed: Sequence[str]) -> Iterator[Packets]:
    """Count until the block ends. That the counter sees anything is shown by those that are ``allowed``."""
    _remove()  # what a run that was killed has left
    run("iptables", "-w", "-N", CHAIN)
    try:
        for address, verdict in [*((a, "DROP") for a in forbidden), *((a, "RETURN") for a in allowed)]:
            run("iptables", "-w", "-A", CHAIN, "-d", address, "-j", verdict)
        for door in ("OUTPUT", "FORWARD"):
            run("iptables", "-w", "-I", door, "-j", CHAIN)
        yield Packets()
    finally:
        _remove()


def _remove() -> None:
    for words in (("-D", "OUTPUT", "-j", CHAIN), ("-D", "FORWARD", "-j", CHAIN), ("-F", CHAIN), ("-X", CHAIN)):
        run("iptables", "-w", *words, expected=None)
