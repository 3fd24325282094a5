"""Stage 3: say which rows nobody sees before the winner is known, and cut the rest into folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.errors import TrainingError
from pegboard.frames import row_shares
from pegboard.signature import Signature
from pegboard.specs import SplitterSpec

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """Positions of rows: the training part, the hold-out, and (fit, score) pairs of positions for each fold."""

    train: Rows
    holdout: Rows
    folds: tuple[tuple[Rows, Rows], ...]


def split(
    frame: pd.DataFrame,
    signature: Signature,
    target: npt.NDArray[np.generic],
    splitter: SplitterSpec,
    *,
    folds: int,
    holdout: float,
    seed: int,
) -> Split:
    """Split a table by rows.

    Whether a row is held out depends on the hash of its keys (of its features, where there are no keys) and on
    nothing else, so the hold-out stays the hold-out when rows come, go or change places. ``holdout`` is the share
    of rows that is aimed at. Raises :class:`TrainingError` if there are too few rows or classes for the folds.
    """
    members = row_shares([frame[name].to_numpy() for name in _identity(signature, frame)], len(frame)) < holdout
    train = np.flatnonzero(~members)
    _refuse_small(target[train], signature, folds)
    cutter = splitter.make(signature.task, folds, seed)
    try:
        pairs = list(cutter.split(train.reshape(-1, 1), target[train]))
    except ValueError as error:
        raise TrainingError(f"splitter {splitter.name!r} cannot cut {len(train)} rows: {error}") from error
    return Split(train, np.flatnonzero(members), tuple((train[fit], train[score]) for fit, score in pairs))


def _identity(signature: Signature, frame: pd.DataFrame) -> list[str]:
    keys = [name for name in signature.keys if name in frame]
    return keys or [feature.name for feature in signature.features]


def _refuse_small(target: npt.NDArray[np.generic], signature: Signature, folds: int) -> None:
    # Two rows in each fold: fewer, and a fold's score is one row's luck.
    if len(target) < 2 * folds:
        raise TrainingError(f"{len(target)} training rows are too few for {folds} folds: it takes {2 * folds}")
    if signature.task == "classification":
        counts = {label: int(np.sum(target == label)) for label in signature.classes}
        if sum(count > 0 for count in counts.values()) < 2:
            raise TrainingError(f"the training part holds one class only: {counts}")
        if max(counts.values()) < folds or sorted(counts.values())[-2] < 2:
            raise TrainingError(f"too few rows for {folds} folds of two classes: {counts}")
