"""Files on the web, through fsspec. No message holds the URL itself: a part of it may be a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pegboard import DataError
from pegboard_files.opening import Place

CONNECT_SECONDS = 10
#: How long the next bytes may take; the whole file may take longer.
STALL_SECONDS = 60
NEEDS = "http:// and https:// need fsspec and aiohttp: pip install 'pegboard-files[http]'"


@contextmanager
def stream(place: Place) -> Iterator[Any]:
    """Open what a URL answers."""
    try:
        import aiohttp
        import fsspec
    except ImportError:
        raise DataError(NEEDS) from None
    patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS)
    web = fsspec.filesystem("http", skip_instance_cache=True, client_kwargs={"timeout": patience})
    try:
        # Were the size not given, it would be asked for first, and every refusal would become "not found".
        with web.open(place.address, "rb", block_size=0, size=1) as body:
            yield body
    except FileNotFoundError:
        raise DataError(f"{place.shown}: the server has no such file (404): correct the URL") from None
    except aiohttp.ClientResponseError as error:
        raise DataError(f"{place.shown}: the server answers {error.status}: {_remedy(error.status)}") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        what = "does not answer in time" if isinstance(error, TimeoutError) else f"fails ({type(error).__name__})"
        raise DataError(f"{place.shown}: the server {what}: try again, or fetch the file yourself") from None


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "it wants credentials; put a URL that holds them into an environment variable: path_variable"
    return "try again, or fetch the file yourself"
