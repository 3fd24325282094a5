"""The model card: what serves, how good it is, and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pegboard_serve.board import figure
from pegboard_serve.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the card; ``code`` is set in a typewriter's letters."""

    name: str
    value: str
    note: str = ""
    code: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What the page says of the model."""

    target: str
    task: str
    model: str
    features: int
    expected: str
    facts: tuple[Fact, ...]


def card(model: Loaded) -> Card:
    """Return the card of a version."""
    signature = model.bundle.signature
    facts = (*_identity(model), *_scores(model), *_origin(model.bundle.manifest))
    return Card(signature.target, signature.task, model.bundle.model, len(signature.features), _expected(model), facts)


def _expected(model: Loaded) -> str:
    """Say how far off it was on rows that it had not seen."""
    metrics = model.bundle.manifest["metrics"]
    if metrics.get("holdout") is None:
        return ""
    return f"{metrics['scorer']} {figure(metrics['holdout'])} on {metrics['holdout_rows']:,} rows kept apart"


def _identity(model: Loaded) -> list[Fact]:
    version, signature, predictor = model.version, model.bundle.signature, model.predictor
    predicts = f"{signature.target}, one of {len(signature.classes)} classes" if signature.classes else signature.target
    return [
        Fact("Predicts", predicts),
        Fact("Version", str(version), ", ".join(version.aliases)),
        Fact("Digest", version.digest[:16] + "…", "SHA-256", code=True),
        Fact("Compiled", "yes" if predictor.compiled else "no", predictor.note),
    ]


def _scores(model: Loaded) -> list[Fact]:
    found, metrics = model.bundle.leaderboard, model.bundle.manifest["metrics"]
    winner = found[model.bundle.model]
    compared = f"{figure(winner.mean)} ± {figure(winner.spread)}" if len(winner.scores) > 1 else figure(winner.mean)
    facts = [Fact("Compared by", found.scorer, f"{compared} over {len(winner.scores)} folds")]
    if metrics.get("holdout") is not None:
        rows = f"{metrics['holdout_rows']:,} rows, used once"
        facts.append(Fact("Hold-out", f"{found.scorer} {figure(metrics['holdout'])}", rows))
    beaten = "beaten" if metrics.get("beats_baseline") else "not beaten"
    return [*facts, Fact("Baseline", beaten)]


def _origin(manifest: Any) -> list[Fact]:
    data, git = manifest["data"], manifest.get("git")
    origin = str(data["origin"])
    named = origin if "://" in origin else PurePosixPath(origin).name
    facts = [
        Fact("Trained", _day(manifest["created_at"])),
        Fact("Data", f"{data['rows']:,} rows", named),
        Fact("Its digest", f"{data['fingerprint'][:16]}…", code=True),
        Fact("Made with", f"scikit-learn {manifest['libraries'].get('scikit-learn')}", f"Python {manifest['python']}"),
    ]
    if git:
        facts.append(Fact("Commit", git["commit"][:12], "with changes" if git["changed"] else "", code=True))
    return facts


def _day(moment: str) -> str:
    at = datetime.fromisoformat(moment).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
