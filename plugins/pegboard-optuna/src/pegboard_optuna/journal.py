"""Where a search keeps its trials: one file of Optuna's journal for each search, one search in it at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from pegboard.errors import PegboardError


class JournalError(PegboardError):
    """A journal cannot be used; the message says what to do."""


def place(directory: Path, model: str, identity: str) -> Path:
    """Return the file of a search's journal."""
    return directory / f"{model}-{identity[:16]}.journal"


@contextmanager
def opened(file: Path) -> Iterator[JournalStorage]:
    """Open a journal, new or not, for this search alone.

    A line that was cut off while it was written, by a power cut or a full disk, is dropped: nobody has been told of it.
    Raises :class:`JournalError` if another search has the journal, or if it is damaged.
    """
    with _alone(file):
        _drop_torn_line(file)
        yield _read(file)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the journal's lock, which ends with this process, however that ends."""
    lock = file.with_suffix(".lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("a")
    except OSError as error:
        raise JournalError(
            f"trials cannot be kept in {file.parent}: {error.strerror}; run in a directory that can be written to"
        ) from error
    with handle:
        try:
            # Of the process, not of the open file: processes that it forks, and that outlive it, do not hold it.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(f"another run goes on with the same search ({file}): wait until it has ended") from error
        yield


def _drop_torn_line(file: Path) -> None:
    content = file.read_bytes() if file.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)


def _read(file: Path) -> JournalStorage:
    with checked(file):
        if file.exists():
            for line in file.read_bytes().splitlines():
                json.loads(line)  # all of them: Optuna takes a bad last line for one that is being written
        return JournalStorage(JournalFileBackend(str(file), _NoLock()))


@contextmanager
def checked(file: Path) -> Iterator[None]:
    """Turn whatever reading a journal raises into a :class:`JournalError`."""
    try:
        yield
    except Exception as error:
        raise JournalError(
            f"the journal of the trials so far is damaged: {file} ({type(error).__name__}: {error}); restore it from a "
            "copy, or remove it to search anew"
        ) from error


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn what writing raises into a :class:`JournalError`."""
    try:
        yield
    except OSError as error:
        raise JournalError(f"the trials cannot be written to {file}: {error.strerror}; make room there") from error


class _NoLock(BaseJournalFileLock):
    """Optuna's own lock is a file, which a killed run leaves behind; the journal is ours alone already."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass
