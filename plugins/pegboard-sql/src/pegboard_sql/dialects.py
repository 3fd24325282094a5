"""What databases are asked for beyond SQL: that nothing is written, and that a query ends in time."""

from __future__ import annotations

import sqlite3
import time
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.pool import NullPool

from pegboard import DataError
from pegboard.errors import ConfigError

#: SQLite asks so many steps of its machine apart whether to go on.
STEPS = 10_000
CONNECT_SECONDS = 10
DRIVERS = {"psycopg": "pip install 'pegboard-sql[postgresql]'"}


def engine(url: URL) -> Engine:
    """Return the engine of a URL; a SQLite file is opened read only, and must exist."""
    try:
        # The parameters may be personal data: they are not for messages.
        return create_engine(_bounded(_read_only(url)), poolclass=NullPool, hide_parameters=True)
    except NoSuchModuleError:
        raise ConfigError(
            f"no dialect {url.drivername!r}: install the distribution that brings it, or correct the url"
        ) from None
    except ModuleNotFoundError as error:
        remedy = DRIVERS.get(error.name or "", f"pip install {error.name}, or name another driver in the url")
        raise DataError(f"{url.drivername} needs {error.name}: {remedy}") from None


def _read_only(url: URL) -> URL:
    if url.get_backend_name() != "sqlite":
        return url
    if url.database in (None, "", ":memory:"):
        raise ConfigError("the url names no file: write sqlite:///table.db, or sqlite:////with/the/whole/path.db")
    path = url.database if "uri" in url.query else f"file:{quote(url.database)}"
    return url.set(database=path).update_query_dict({"uri": "true", "mode": "ro"})


def _bounded(url: URL) -> URL:
    if url.drivername != "postgresql+psycopg" or "connect_timeout" in url.query:
        return url
    return url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})


def begin(connection: Connection, timeout: float, chunk: int) -> Connection:
    """Return the connection in a transaction that reads only, where the dialect can, and for ``timeout`` seconds."""
    if connection.dialect.name == "postgresql":
        connection = connection.execution_options(postgresql_readonly=True)
        connection.exec_driver_sql(f"set local statement_timeout = {max(1, int(timeout * 1000))}")
    elif connection.dialect.name == "sqlite":
        _bound_sqlite(connection.connection.driver_connection, timeout)
    return connection.execution_options(stream_results=True, yield_per=chunk)


def _bound_sqlite(raw: Any, timeout: float) -> None:
    raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # another file would be opened for writing, and made
    deadline = time.monotonic() + timeout
    raw.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)


def server(connection: Connection) -> str:
    """Return the dialect's name and the server's version."""
    version = connection.dialect.server_version_info or ()
    return " ".join(filter(None, (connection.dialect.name, ".".join(map(str, version)))))
