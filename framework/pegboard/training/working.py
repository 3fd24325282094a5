"""The other side of :mod:`pegboard.training.isolated`: what a worker process does."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import joblib
import numpy as np
import pandas as pd

from pegboard.training.fitting import Fit, Folds, Scored, in_threads
from pegboard.training.sending import REMEDY
from pegboard.training.values import Table


@dataclass(frozen=True)
class Job:
    """What is the same for all folds: the file with the table and the folds, the pickled scorer, the environment."""

    table: str
    scorer: bytes
    environment: Mapping[str, str]


def work(channel: Connection, job: Job) -> None:
    """Say ``None`` when ready, or what is wrong; then answer each (fold, pickled contender) with what it came to."""
    _settle(job.environment)
    try:
        table, folds = read(job.table)
        scorer = pickle.loads(job.scorer)  # noqa: S301 - from the process that started this one
    except BaseException as error:
        channel.send(f"{type(error).__name__}: {error}")
        os._exit(1)
    with in_threads(table, folds, scorer) as fit:
        channel.send(None)
        while True:
            channel.send(_fit(fit, *channel.recv()))


def _settle(environment: Mapping[str, str]) -> None:
    """Make this process a place where a candidate can do little harm."""
    if hasattr(os, "setsid"):
        os.setsid()  # what it starts is of its group, and ends with it; Ctrl-C is for the run, which ends this
    os.dup2(2, 1)  # stdout belongs to the command, which may write JSON there
    sys.stdout = sys.stderr
    os.environ.clear()  # the server that forks was started with an older one
    os.environ.update(environment)
    multiprocessing.current_process().daemon = False  # a candidate may have processes of its own
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End with the run, however that ends."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.killpg(0, signal.SIGKILL) if hasattr(os, "killpg") else os._exit(1)


def write(file: str, table: Table, folds: Folds) -> None:
    """Write what workers need of a table: numbers so that they can be mapped, texts as positions among categories.

    As objects, eight columns of texts in a million rows would take each worker seconds to read.
    """
    texts = [name for name, dtype in table.features.dtypes.items() if dtype.kind == "O"]
    features = table.features.astype(dict.fromkeys(texts, "category"))
    joblib.dump((features, texts, table.target, table.signature, tuple(folds)), file)


def read(file: str) -> tuple[Table, Folds]:
    """Read what :func:`write` has written; the table has its canonical columns again, and no others."""
    features, texts, target, signature, folds = joblib.load(file, mmap_mode="r")
    # Plain arrays, which models know better than `numpy.memmap`; the bytes stay where they are.
    columns = {
        name: column.astype(object) if name in texts else pd.Series(np.asarray(column))
        for name, column in features.items()
    }
    whole = pd.DataFrame(columns, copy=False)
    return Table(whole, signature, whole, np.asarray(target)), folds


def _fit(fit: Fit, fold: int, task: bytes) -> Scored:
    try:
        contender = pickle.loads(task)  # noqa: S301 - from the process that started this one
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        return Scored(error=f"fold {fold + 1}: it cannot be loaded in another process: {reason}: {REMEDY}")
    return fit(contender, fold)
