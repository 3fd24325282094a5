"""Stage 5: choose the winner, measure it once on rows that no candidate has seen, and fit it on everything."""

from __future__ import annotations

from collections.abc import Sequence

from threadpoolctl import threadpool_limits

from pegboard.errors import PluginError, TrainingError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import CriterionSpec, ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.values import Split, Table, Winner


def select(
    board: Leaderboard,
    contenders: Sequence[Contender],
    table: Table,
    parts: Split,
    criterion: CriterionSpec,
    scorer: ScorerSpec,
    champion: str | None = None,
) -> Winner:
    """Return the winner; ``champion`` is the name of the model that stays when it is among equals.

    Only the winner meets the hold-out, so its score there is no part of the choice.
    """
    candidate = choose(board, criterion, champion)
    contender = next(c for c in contenders if c.name == candidate.name)
    score = None
    with threadpool_limits(1):
        if len(parts.holdout):
            recipe = contender.build().fit(*table.rows(parts.train))
            score = float(scorer.make()(recipe, *table.rows(parts.holdout)))
            score = score if scorer.greater_is_better else -score
        pipeline = contender.build().fit(table.features, table.target)
    return Winner(candidate, pipeline, score, len(parts.holdout))


def choose(board: Leaderboard, criterion: CriterionSpec, champion: str | None = None) -> Candidate:
    """Return the candidate that the criterion prefers; the champion stays if it is among those equally good."""
    eligible = board.eligible()
    if not eligible.candidates:
        reasons = "\n  ".join(f"{c.name}: {c.error}" for c in board.candidates if c.error)
        raise TrainingError(f"nothing but baselines finished, and a baseline never wins:\n  {reasons}")
    names = list(criterion.choose(eligible))
    known = {candidate.name for candidate in eligible.candidates}
    if not names or not known.issuperset(names):
        raise PluginError(f"criterion {criterion.name!r} chose {names}, not some of {sorted(known)}")
    return board[champion if champion in names else names[0]]
