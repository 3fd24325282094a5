"""What the server may be told."""

from __future__ import annotations

from dataclasses import dataclass

#: Where a server listens that is told nothing else.
PORT = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an application serves, and the limits that it keeps to; times are in seconds, sizes in bytes.

    ``model`` is ``name``, ``name/7`` or ``name@alias`` in the registry at ``registry``, or what a resolver knows.
    A bundle is refused unless one of the public keys in the files ``trusted_keys`` has signed it (empty: no signature
    is asked for). ``strict`` refuses categories that training has not seen. ``tokens`` names a file of hashed bearer
    tokens; without it everybody may predict, and nobody may reload. ``trusted_hosts`` are the names in ``Host`` that
    are answered (empty: all). ``poll`` looks for another version behind the alias every so many seconds (0: never).
    """

    model: str
    registry: str
    trusted_keys: tuple[str, ...] = ()
    strict: bool = False
    tokens: str = ""
    trusted_hosts: tuple[str, ...] = ()
    poll: float = 0.0
    access_log: bool = True
    max_body: int = 16 * 2**20
    max_rows: int = 10_000
    max_depth: int = 32
    max_connections: int = 1000
    max_queue: int = 256
    channel_timeout: int = 60
    drain_timeout: float = 30.0
    threads: int = 4
    processes: int = 1
