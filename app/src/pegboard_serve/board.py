"""The leaderboard as a picture: a dot for each fold, a line for mean ± spread, on one scale for all candidates."""

from __future__ import annotations

from dataclasses import dataclass

from pegboard.bundle import Bundle
from pegboard.leaderboard import Candidate

#: Where the lowest and the highest score lie, in percent of the width: dots at the ends stay whole.
_LEFT, _RIGHT = 3.0, 97.0


@dataclass(frozen=True, slots=True)
class Place:
    """A candidate on the board; positions are percentages of the width."""

    name: str
    note: str
    mean: str = ""
    spread: str = ""
    dots: tuple[str, ...] = ()
    at: str = ""
    start: str = ""
    end: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """All candidates, best first; ``low`` and ``high`` are the ends of their scale."""

    scorer: str
    better: str
    places: tuple[Place, ...]
    low: str = ""
    high: str = ""


def board(bundle: Bundle) -> Board:
    """Return the board of the comparison that the bundle's model won."""
    found = bundle.leaderboard
    scores = [score for candidate in found.finished for score in candidate.scores]
    scale = _Scale(min(scores), max(scores))
    places = tuple(_place(candidate, scale, candidate.name == bundle.model) for candidate in found.candidates)
    better = "higher is better" if found.greater_is_better else "lower is better"
    return Board(found.scorer, better, places, figure(scale.low), figure(scale.high))


def figure(value: float) -> str:
    """Write a score or an amount with the digits that matter: 35,921 and 0.9583."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def __call__(self, score: float) -> str:
        share = (score - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return f"{min(max(_LEFT + share * (_RIGHT - _LEFT), 0), 100):.2f}%"


def _place(candidate: Candidate, scale: _Scale, chosen: bool) -> Place:
    if candidate.error is not None:
        return Place(candidate.name, f"failed: {candidate.error}")
    spread = candidate.spread if len(candidate.scores) > 1 else 0.0
    return Place(
        name=candidate.name,
        note="serves" if chosen else "baseline" if candidate.baseline else "",
        mean=figure(candidate.mean),
        spread=figure(spread),
        dots=tuple(scale(score) for score in candidate.scores),
        at=scale(candidate.mean),
        start=scale(candidate.mean - spread),
        end=scale(candidate.mean + spread),
        chosen=chosen,
    )
