"""Stage 3: say which rows nobody sees before the winner is known, and cut the rest into folds."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import numpy.typing as npt

from pegboard.errors import TrainingError, blamed
from pegboard.fingerprint import row_shares
from pegboard.signature import Signature
from pegboard.specs import SplitterSpec
from pegboard.training.values import Split, Table

logger = logging.getLogger("pegboard")


def split(table: Table, splitter: SplitterSpec, *, folds: int, holdout: float, seed: int) -> Split:
    """Split a table by rows.

    Whether a row is held out depends on the hash of its keys (of its features, where there are no keys) and on
    nothing else, so the hold-out stays the hold-out when rows come, go or change places. ``holdout`` is the share
    of rows that is aimed at. Raises :class:`TrainingError` if there are too few rows or classes for the folds.
    """
    held_out = row_shares(_identity(table), len(table)) < holdout
    train = np.flatnonzero(~held_out)
    target = table.target[train]
    _check_size(target, table.signature, folds)
    with warnings.catch_warnings(), blamed(f"splitter {splitter.name!r}"):
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # said above, with its name
        pairs = list(splitter.make(table.signature.task, folds, seed).split(train.reshape(-1, 1), target))
    return Split(train, np.flatnonzero(held_out), tuple((train[fit], train[score]) for fit, score in pairs))


def _identity(table: Table) -> list[npt.NDArray[np.generic]]:
    keys = [name for name in table.signature.keys if name in table.frame]
    chosen = table.frame[keys] if keys else table.features
    return [chosen[name].to_numpy() for name in chosen.columns]


def _check_size(target: npt.NDArray[np.generic], signature: Signature, folds: int) -> None:
    # Two rows in each fold: fewer, and a fold's score is one row's luck.
    if len(target) < 2 * folds:
        raise TrainingError(f"{len(target)} training rows are too few for {folds} folds: it takes {2 * folds}")
    if signature.task == "classification":
        counts = {label: int(np.sum(target == label)) for label in signature.classes}
        most, second = sorted(counts.values(), reverse=True)[:2]
        if most < folds or second < 2:
            raise TrainingError(f"too few training rows of two classes for {folds} folds: {counts}")
        if rare := [str(label) for label, count in counts.items() if count < folds]:
            logger.warning("fewer training rows than folds, so some folds lack these classes: %s", ", ".join(rare))
