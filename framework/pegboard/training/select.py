"""Stage 5: choose the winner by what the comparison found, and by nothing else."""

from __future__ import annotations

from pegboard.errors import PluginError, TrainingError, blamed
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.specs import CriterionSpec


def select(board: Leaderboard, criterion: CriterionSpec, champion: str | None = None) -> Candidate:
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
