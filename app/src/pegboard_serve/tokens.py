"""Bearer tokens: who may predict, and who may reload.

The file holds no token, only the SHA-256 of each, one to a line: ``NAME DIGEST [admin]``. Tokens are random and
long (``pegboard token``), so a fast hash is enough. To rotate one, add the new line, move the clients, remove the old
line: the file is read again when it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from pegboard.errors import ConfigError
from pegboard_serve.refused import Refused

logger = logging.getLogger("pegboard.serve")

_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s+(?P<digest>[0-9a-f]{64})(?:\s+(?P<admin>admin))?")
_CHALLENGE = (("WWW-Authenticate", "Bearer"),)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a token belongs to."""

    name: str
    digest: str
    admin: bool


class Tokens:
    """The holders in a file; without a file everybody may predict and nobody may administrate."""

    def __init__(self, file: str = "") -> None:
        self._file = Path(file) if file else None
        self._stamp: tuple[int, int, int] | None = None
        self._holders: tuple[Holder, ...] = ()
        if self._file:
            self._read(self._file)

    def check(self, authorization: str, admin: bool = False) -> None:
        """Raise :class:`Refused` with status 401 for no known token, 403 for one that may not do this."""
        if self._file is None:
            if admin:
                raise Refused(HTTPStatus.FORBIDDEN, "the server has no tokens, so nobody may do this: see --tokens")
            return
        scheme, _, token = authorization.partition(" ")
        self._read(self._file)
        holder = self._holder(token.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            raise Refused(HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer with a valid token", headers=_CHALLENGE)
        if admin and not holder.admin:
            raise Refused(HTTPStatus.FORBIDDEN, f"the token of {holder.name} is not an admin's")

    def _holder(self, token: str) -> Holder | None:
        """Compare with every digest, so that the time tells nothing about which one was near."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for holder in self._holders:
            if hmac.compare_digest(holder.digest, digest):
                found = holder
        return found

    def _read(self, file: Path) -> None:
        """Read the file if it has changed; a file that is broken or gone while serving changes nothing."""
        try:
            stat = file.stat()
            # Of two changes within one tick of the clock the size tells.
            if (stamp := (stat.st_mtime_ns, stat.st_ino, stat.st_size)) != self._stamp:
                self._holders, self._stamp = read_holders(file), stamp
        except (OSError, ConfigError) as error:
            if self._stamp is None:
                raise ConfigError(f"cannot use the tokens: {error}") from error
            logger.error("the tokens stay as they were: %s", error)


def read_holders(file: Path) -> tuple[Holder, ...]:
    """Read a file of tokens; raise :class:`ConfigError` with the line that is wrong."""
    holders = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if (text := line.partition("#")[0].strip()) and (match := _LINE.fullmatch(text)) is None:
            raise ConfigError(f"{file}, line {number}: write NAME SHA256 [admin]; `pegboard token NAME` makes one")
        if text and match:
            holders.append(Holder(match["name"], match["digest"], match["admin"] is not None))
    return tuple(holders)
