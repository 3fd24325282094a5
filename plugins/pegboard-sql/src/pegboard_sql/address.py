"""Where a database is, with its password kept out of everything that is shown or recorded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from pegboard.errors import ConfigError

SECRET = re.compile(r"auth|cred|key|odbc_connect|passw|pwd|secret|sig|token", re.IGNORECASE)
#: User and password as RFC 3986 has them: whatever else is in a password must be percent-encoded. A URL that is cut at
#: the wrong place would show a part of its password as the host's name.
WRITTEN = re.compile(r"(?P<scheme>[\w.+-]+)://(?:[\w.~!$&'()*+,;=%-]*(?::[\w.~!$&'()*+,;=:%-]*)?@)?(?P<rest>[^@]*)")
REMEDY = (
    'put the whole URL into an environment variable and name that, url_variable = "DATABASE_URL"; '
    "PostgreSQL also takes PGPASSWORD and ~/.pgpass"
)


@dataclass(frozen=True)
class Address:
    """A database's URL, and the secrets in it; ``shown`` is what may be seen of it."""

    url: URL
    secrets: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The database's name and its host, with no user and no password."""
        host = self.url.host or self.url.query.get("host", "")
        port = f":{self.url.port}" if self.url.port else ""
        return f"database {self.url.database or ''!r}" + (f" on {host}{port}" if host else "")

    def cleaned(self, message: str) -> str:
        """Return a driver's message without the secrets, however they are spelt there."""
        for secret in self.secrets:
            for spelling in {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1]}:
                message = message.replace(spelling, "***")
        return message

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address(url: str, variable: str, where: str) -> Address:
    """Return the database that the options name, or the environment.

    Raises :class:`ConfigError`, also for a password among the options: they are recorded with every run and version.
    """
    if bool(url) == bool(variable):
        raise ConfigError(f"{where}: say where the database is: --set url=URL (or url_variable, and not both)")
    if variable and not os.environ.get(variable):
        raise ConfigError(f"{where}: the environment variable {variable!r}, named by url_variable, is not set")
    made = _parsed(os.environ[variable] if variable else url, variable or "url", where)
    secrets = _secrets(made)
    if secrets and not variable:
        raise ConfigError(f"{where}: url holds a password, and would be recorded with every run: {REMEDY}")
    return Address(made, secrets)


def _parsed(text: str, name: str, where: str) -> URL:
    """Parse a URL; no error shows any of it."""
    written = WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise ConfigError(
            f"{where}: {name} is no database's URL: write dialect://user@host/database, with every character of user "
            "and password percent-encoded that is not a letter or a digit (@ is %40, / is %2F)"
        )
    try:
        made = make_url(text)
    except (SQLAlchemyError, ValueError):
        raise ConfigError(f"{where}: {name} is no database's URL: write dialect://user@host:port/database") from None
    # The driver of today; what SQLAlchemy takes by default depends on its version.
    return made.set(drivername="postgresql+psycopg") if made.drivername in ("postgresql", "postgres") else made


def _secrets(url: URL) -> tuple[str, ...]:
    """Return what may not be shown: as it is, and as it was if it is read as a form's field."""
    found = [str(url.password)] if url.password else []
    for name, value in url.query.items():
        if SECRET.search(name):
            found += [value] if isinstance(value, str) else value
    return tuple(dict.fromkeys(text for secret in found for text in (secret, unquote_plus(secret))))
