"""Publish and promote for ever in writers that are killed with SIGKILL at random moments.

    python publishing_loop.py REGISTRY --kills 50 --seed 1
    python publishing_loop.py s3://bucket/registry --writers 8 --seconds 60 --seed 1 --said FILE

Prints a line of JSON: how many were killed, how many of these inside ``Registry.publish``, and whether a writer
stopped by itself (its traceback is on standard error). Into the file ``--said`` goes a line for each thing that a
writer was told to be done: the digest or the entry's nonce, and the version.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from pegboard import bundle as bundles
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.ledger import Ledger
from pegboard.registry import Registry
from pegboard.signature import Feature, Signature
from pegboard.stores.file import FileStore

#: Most kills are no further apart than so many undisturbed turns of the loop, nor than so many seconds.
TURNS, SECONDS = 2, 0.1
#: What each writer moves after publishing, and how far apart kills are when it goes by time.
ALIASES = ("staging", "production")
BETWEEN = (0.2, 1.0)
#: What all writers say together before a killing that goes by time ends: some twenty lines.
ENOUGH_BYTES = 2_000

MANIFEST = {
    "name": "house",
    "model": "linear",
    "signature": Signature("regression", (Feature("area", "number"),), "price").to_dict(),
    "leaderboard": Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0))]).to_dict(),
    "libraries": {},
    "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
    "metrics": {},
    "data": {},
    "python": "3",
    "plugins": [],
}
FILES = {bundles.PIPELINE: b"never unpickled here\n" * 500, bundles.REPLAY: b"{}\n"}


class TwoStepStore(FileStore):
    """What a store must not be: its keys appear before their content does."""

    def create(self, key: str, data: bytes) -> bool:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            os.fsync(descriptor)
            os.write(descriptor, part)
        os.fsync(descriptor)
        os.close(descriptor)
        return True


class Writers:
    """Forked writers, each with a byte of shared memory that is 1 while it publishes; the byte outlives the writer."""

    def __init__(self, connect: Callable[[], Registry], number: int, scratch: Path, said: Path | None) -> None:
        self._connect, self._scratch = connect, scratch
        self._said = None if said is None else os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._inside = mmap.mmap(-1, number)
        registry, started = connect(), time.monotonic()
        self._turn(registry, 0)
        self.seconds_for_a_turn = time.monotonic() - started
        self._pids = [self._start(slot) for slot in range(number)]

    @property
    def silent(self) -> bool:
        """Whether hardly anything was said yet."""
        return self._said is not None and os.fstat(self._said).st_size < ENOUGH_BYTES

    def kill(self, slot: int, restart: bool = True) -> bool | None:
        """Kill a writer; return whether it was publishing, ``None`` if it had stopped by itself."""
        os.kill(self._pids[slot], signal.SIGKILL)
        _, status = os.waitpid(self._pids[slot], 0)
        was_inside, self._inside[slot] = bool(self._inside[slot]), 0
        if restart:
            self._pids[slot] = self._start(slot)
        return was_inside if os.WIFSIGNALED(status) else None

    def _start(self, slot: int) -> int:
        parent = os.getpid()
        return os.fork() or self._write(slot, parent)

    def _write(self, slot: int, parent: int) -> NoReturn:
        try:
            registry = self._connect()
            while os.getppid() == parent:
                self._turn(registry, slot)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _turn(self, registry: Registry, slot: int) -> None:
        manifest = {**MANIFEST, "created_at": uuid.uuid4().hex}
        bundle = bundles.write(self._scratch / str(slot), manifest, FILES)
        self._inside[slot] = 1
        version = registry.publish(bundle.directory)
        self._inside[slot] = 0
        self._say(bundle.digest, version)
        alias = ALIASES[slot % len(ALIASES)]
        entry = registry.promote(str(version), alias)
        self._say(entry.nonce, entry)

    def _say(self, what: str, version: object) -> None:
        if self._said is not None:
            os.write(self._said, f"{what} {version}\n".encode())


def kill_at_random(writers: Writers, number: int, kills: int, chance: random.Random) -> list[bool | None]:
    """Kill ``kills`` writers, all that are left at last; stop early if one has stopped by itself."""
    longest = min(TURNS * writers.seconds_for_a_turn, SECONDS)
    outcomes: list[bool | None] = []
    while len(outcomes) < kills - number and None not in outcomes:
        # Every tenth writer lives long enough to write on a machine that has become ten times slower.
        time.sleep(chance.uniform(0, longest if len(outcomes) % 10 else 10 * longest))
        outcomes.append(writers.kill(chance.randrange(number)))
    return outcomes + [writers.kill(slot, restart=False) for slot in range(number)]


def kill_for(writers: Writers, number: int, seconds: float, chance: random.Random) -> list[bool | None]:
    """Kill a writer now and then, until the time is over and something was done; stop early if one stops by itself."""
    over = time.monotonic() + seconds
    outcomes: list[bool | None] = []
    while (time.monotonic() < over or writers.silent) and None not in outcomes:
        time.sleep(chance.uniform(*BETWEEN))
        outcomes.append(writers.kill(chance.randrange(number)))
    return outcomes + [writers.kill(slot, restart=False) for slot in range(number)]


def connect(location: str, two_steps: bool) -> Registry:
    registry = Registry(location)
    if two_steps:
        registry.store = TwoStepStore(location)
        registry.ledger = Ledger(registry.store)
    return registry


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("registry")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--two-steps", action="store_true")
    parser.add_argument("--said", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        made = partial(connect, options.registry, options.two_steps)
        writers = Writers(made, options.writers, Path(scratch), options.said)
        chance = random.Random(options.seed)
        if options.seconds:
            outcomes = kill_for(writers, options.writers, options.seconds, chance)
        else:
            outcomes = kill_at_random(writers, options.writers, options.kills, chance)
    report = {
        "kills": len(outcomes) - outcomes.count(None),
        "inside": outcomes.count(True),
        "stopped": None in outcomes,
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
