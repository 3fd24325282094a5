"""Stage 5: choose the winner, measure it once on rows that no candidate has seen, and fit it on everything."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import isfinite, nan

from threadpoolctl import threadpool_limits

from pegboard.errors import PluginError, TrainingError, blamed
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import CriterionSpec, ScorerSpec
from pegboard.training.candidate import Contender
from pegboard.training.values import Split, Table, Winner

logger = logging.getLogger("pegboard")


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
    with threadpool_limits(1), blamed(f"model {contender.name!r}"):
        score = _measure(contender, table, parts, scorer) if len(parts.holdout) else None
        pipeline = contender.build().fit(table.features, table.target)
    return Winner(candidate, pipeline, score, len(parts.holdout))


def _measure(contender: Contender, table: Table, parts: Split, scorer: ScorerSpec) -> float | None:
    """Score the recipe on the hold-out; a hold-out too small for the scorer costs that figure, not the run."""
    recipe = contender.build().fit(*table.rows(parts.train))
    try:
        score = float(scorer.make()(recipe, *table.rows(parts.holdout)))
    except ValueError as error:
        score, reason = nan, str(error)
    else:
        reason = f"the score is {score}"
    if isfinite(score):
        return score if scorer.greater_is_better else -score
    logger.warning("no %s on the %d rows held out: %s", scorer.name, len(parts.holdout), reason)
    return None


def choose(board: Leaderboard, criterion: CriterionSpec, champion: str | None = None) -> Candidate:
    """Return the candidate that the criterion prefers; the champion stays if it is among those equally good."""
    eligible = board.eligible()
    if not eligible.candidates:
        reasons = "\n  ".join(f"{c.name}: {c.error}" for c in board.candidates if c.error)
        raise TrainingError(f"nothing but baselines finished, and a baseline never wins:\n  {reasons}")
    with blamed(f"criterion {criterion.name!r}"):
        names = list(criterion.choose(eligible))
    known = {candidate.name for candidate in eligible.candidates}
    if not names or not known.issuperset(names):
        raise PluginError(f"criterion {criterion.name!r} chose {names}, not some of {sorted(known)}")
    return board[champion if champion in names else names[0]]
