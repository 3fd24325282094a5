"""The way to the MLflow server: its client, how long it may take, and what its errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegboard.errors import RegistryError
from pegboard.stores import StoreAway

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: What MLflow may do while we ask it; a variable that the user has set is left alone. Nothing is asked twice, because
#: what was not answered may have been done; nobody is told of its use, and nothing but ours is printed.
SETTINGS: Mapping[str, str] = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
#: Seconds without an answer after which the server counts as away.
QUICK = "10"
#: The same while files are on their way: the server may be storing them elsewhere.
PATIENT = "120"

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s\"']+@")
_REST = re.compile(r"^[A-Z_]+: ")


class MlflowAway(StoreAway):
    """The MLflow server cannot be reached now."""


class MlflowRefused(RegistryError):
    """The MLflow server has answered that it will not."""


@dataclass(frozen=True)
class Server:
    """A connection to the server; ``place`` is its address for people."""

    client: MlflowClient
    place: str
    _timeout_is_ours: bool

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Let the server take longer within the block, unless the user has said how long it may take."""
        if self._timeout_is_ours:
            os.environ[TIMEOUT] = PATIENT
        try:
            yield
        finally:
            if self._timeout_is_ours:
                os.environ[TIMEOUT] = QUICK


def redacted(text: str) -> str:
    """Return a text without the user names and passwords of the URLs in it."""
    return _CREDENTIALS.sub("", text)


def tracking_server() -> str:
    """Return the server's address as people may see it; raises :class:`~pegboard.errors.RegistryError` without one."""
    place = redacted(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if not place:
        raise RegistryError("no MLflow server is named: set MLFLOW_TRACKING_URI, to http://mlflow:5000 for example")
    return place


@contextmanager
def connected(remedy: str) -> Iterator[Server]:
    """Connect to the server that ``MLFLOW_TRACKING_URI`` names, as long as the block lasts.

    Raises :class:`MlflowAway` or :class:`MlflowRefused` for what fails in the block, with ``remedy`` as the next step.
    """
    place = tracking_server()
    with _unless_set({**SETTINGS, TIMEOUT: QUICK}) as ours:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException, RestException
        from requests import RequestException

        try:
            yield Server(MlflowClient(), place, TIMEOUT in ours)
        except RestException as error:
            raise MlflowRefused(f"the MLflow server at {place} refused: {_said(error)}; {remedy}") from error
        except (MlflowException, RequestException) as error:
            raise MlflowAway(
                f"the MLflow server at {place} does not answer: {_said(_root(error))}; {remedy}"
            ) from error


@contextmanager
def _unless_set(variables: Mapping[str, str]) -> Iterator[Collection[str]]:
    """Set environment variables for the block, and yield the names of those that were not set already."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield ours
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _root(error: BaseException) -> BaseException:
    """Return what went wrong first: what MLflow makes of it repeats every address and object on the way."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _said(error: BaseException) -> str:
    """Return what an error says, in one line that can be read."""
    text = _REST.sub("", redacted(str(error) or type(error).__name__))
    return " ".join(text.split())[:300].rstrip(".")
