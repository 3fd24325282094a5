"""Where files are: paths and URLs, checked for secrets and resolved to single files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pegboard import DataError
from pegboard.declared import names
from pegboard.errors import ConfigError
from pegboard_files.opening import Place

SCHEMES = ("", "file", "s3", "http", "https")
MAGIC = re.compile(r"[*?\[]")
SECRET = re.compile(r"auth|cred|key|passw|pwd|secret|sess|sig|token", re.IGNORECASE)
VARIABLE = 'put the whole URL into an environment variable and name that: path_variable = "DATA_URL"'
AWS = "AWS's own settings: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"


def paths(path: str | Sequence[str], variable: str, where: str) -> tuple[str, ...]:
    """Return the paths that the options name, or the environment; raise :class:`ConfigError` for a secret in options.

    What is among the options is recorded with every run and version, so secrets must come another way.
    """
    if bool(path) == bool(variable):
        raise ConfigError(f"{where}: say where the table is: --set path=FILE (or path_variable, and not both)")
    if variable:
        if not os.environ.get(variable):
            raise ConfigError(f"{where}: the environment variable {variable!r}, named by path_variable, is not set")
        given: tuple[str, ...] = (os.environ[variable],)
    else:
        given = names(path, f"{where}: path")
    for one in given:
        _check(one, where, secret=bool(variable))
    return given


def _check(path: str, where: str, *, secret: bool) -> None:
    parts = _parts(path)
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"{where}: files are read from paths, s3:// and https://, not from {parts.scheme}://")
    if "@" in parts.netloc and parts.scheme == "s3":
        raise ConfigError(f"{where}: path holds credentials for S3: leave them out, and use {AWS}")
    if secret:
        return
    if "@" in parts.netloc:
        raise ConfigError(f"{where}: the URL in path holds a user or password, which would be recorded: {VARIABLE}")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if SECRET.search(name):
            raise ConfigError(f"{where}: {name!r} in the URL in path looks like a secret, to be recorded: {VARIABLE}")


def _parts(path: str) -> Any:
    # Without "://" it is a path, with whatever characters in it.
    return urlsplit(path if "://" in path else "file:///")


def shown(path: str) -> str:
    """Return a path as it may be shown and recorded: of a URL neither user, password, query nor fragment."""
    parts = _parts(path)
    if "://" not in path or parts.scheme == "file":
        return path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def found(path: str) -> Iterator[Place]:
    """Yield the files that a path means, in the order of their names; raise :class:`DataError` if there are none."""
    parts = _parts(path)
    if parts.scheme == "s3":
        from pegboard_files.buckets import listed

        places = listed(parts.netloc, path.partition("://")[2].partition("/")[2])
    elif parts.scheme in ("http", "https"):
        if "*" in parts.path:
            raise DataError(f'{shown(path)}: a web server lists no files: name each of them, path = ["…", "…"]')
        places = [Place(path, shown(path), "http")]
    else:
        places = _local(unquote(path.partition("://")[2]) if "://" in path else os.path.expanduser(path))
    if not places:
        where = "" if "://" in path else f" (in {Path.cwd()})"
        raise DataError(f"no file matches {shown(path)}{where}: correct the path")
    yield from places


def _local(path: str) -> list[Place]:
    if os.path.isdir(path):
        raise DataError(f"{path} is a directory: name its files, {os.path.join(path, '*.csv')} for example")
    if os.path.exists(path) or not MAGIC.search(path):
        return [Place(path, path, "file")]
    return [Place(one, one, "file") for one in sorted(glob.glob(path, recursive=True)) if os.path.isfile(one)]
