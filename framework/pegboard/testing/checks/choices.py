"""What must hold of splitters and criteria."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import TASKS, Task
from pegboard.testing.kit import Failed, Subject, attempting, check
from pegboard.testing.properties import holds
from pegboard.training.values import Rows

ROWS = 60
FOLDS = 4
SEED = 0


def _folds(subject: Subject, task: Task, seed: int = SEED) -> list[tuple[Rows, Rows]]:
    target = np.arange(ROWS) % 3 if task == "classification" else np.linspace(0, 1, ROWS)
    with attempting(f"splitting ({task})"):
        splitter = subject.spec.make(task, FOLDS, seed)
        return [(np.asarray(fit), np.asarray(score)) for fit, score in splitter.split(np.zeros((ROWS, 1)), target)]


@check("splitter", "disjoint", "no row is fitted on and scored in one fold, and no fold is empty")
def disjoint(subject: Subject) -> None:
    """Otherwise a score is of rows that the model knows."""
    for task in TASKS:
        for number, (fit, score) in enumerate(_folds(subject, task), start=1):
            if both := sorted(set(fit.tolist()) & set(score.tolist())):
                raise Failed(f"fold {number} ({task}) fits on rows that it scores: {both[:5]}")
            if not len(fit) or not len(score):
                raise Failed(f"fold {number} ({task}) fits on {len(fit)} rows and scores {len(score)}")


@check("splitter", "covers", "it makes the folds that it is asked for, and leaves no row out")
def covers(subject: Subject) -> None:
    """Each row is fitted on or scored in some fold."""
    for task in TASKS:
        folds = _folds(subject, task)
        if len(folds) != FOLDS:
            raise Failed(f"asked for {FOLDS} folds ({task}), it makes {len(folds)}")
        used = np.unique(np.concatenate([rows for fold in folds for rows in fold]))
        if left := sorted(set(range(ROWS)) - set(used.tolist())):
            raise Failed(f"rows are in no fold ({task}): {left[:5]}")


@check("splitter", "repeats", "the same seed gives the same folds")
def repeats(subject: Subject) -> None:
    """So that models of different runs can be compared."""
    for task in TASKS:
        first, second = ([[rows.tolist() for rows in fold] for fold in _folds(subject, task)] for _ in range(2))
        if first != second:
            raise Failed(f"called twice with the seed {SEED} ({task}), it makes other folds")


def boards() -> st.SearchStrategy[Leaderboard]:
    """Return a strategy for leaderboards of models that have finished."""
    scores = st.lists(st.floats(0.1, 10).map(lambda x: round(x, 1)), min_size=3, max_size=3).map(tuple)
    candidates = st.lists(st.tuples(scores, st.integers(0, 10)), min_size=1, max_size=4)
    return st.tuples(candidates, st.booleans()).map(
        lambda drawn: Leaderboard.of(
            "score",
            drawn[1],
            [Candidate(f"model-{n}", scores, complexity=c) for n, (scores, c) in enumerate(drawn[0])],
        )
    )


@check("criterion", "chooses-from-the-board", "it returns names of the board, at least one, and the same each time")
def chooses_from_the_board(subject: Subject) -> None:
    """Whatever the scores are."""

    def body(board: Leaderboard) -> None:
        told = "\n".join(f"{c.name}: {c.scores}, complexity {c.complexity}" for c in board.candidates)
        with attempting("choose", lambda: told):
            chosen, again = (list(subject.spec.choose(board)) for _ in range(2))
        known = [candidate.name for candidate in board.candidates]
        if not chosen or not set(chosen) <= set(known):
            raise Failed(f"it chose {chosen}, and on the board are {known}", told)
        if chosen != again:
            raise Failed(f"asked twice it chose {chosen} and {again}", told)

    holds(body, boards())
