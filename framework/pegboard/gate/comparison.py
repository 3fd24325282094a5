"""The rules that fit recipes again: the challenger against the champion, and against the baselines."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pegboard.environments import Gate
from pegboard.errors import DataError, PegboardError, blamed
from pegboard.gate import words
from pegboard.gate.bootstrap import Answered, Difference, Scores, difference, scores
from pegboard.gate.data import Evidence, challenger_recipe, champion_recipe, evidence
from pegboard.gate.recipe import Recipe
from pegboard.gate.rule import Outcome, Promotion
from pegboard.specs import ModelSpec, ScorerSpec
from pegboard.training.plan import DEFAULT_SCORERS, find_scorer


def champion(promotion: Promotion) -> Outcome:
    """Ask whether the challenger's recipe is better than the champion's, or no worse than the margin.

    Both are fitted on the same rows and scored on rows that neither has seen, by the challenger's scorer.
    """
    gate = promotion.environment.gate
    if promotion.champion is None:
        return Outcome(True, "there is no champion yet", words.limit(gate, None))
    if promotion.champion.digest == promotion.version.digest:
        return Outcome(True, f"{promotion.version} is the champion itself", words.limit(gate, None))
    ours, theirs = promotion.once(challenger_recipe), promotion.once(champion_recipe)
    _refuse_other_task(ours, theirs)
    if ours.same_as(theirs):
        return Outcome(True, f"the same recipe as {theirs.label}: 0 apart", words.limit(gate, None), {"better_by": 0.0})
    rows, scorer = promotion.once(evidence), _scorer(promotion)
    if too_few := _too_few(rows, gate):
        return too_few
    score = _scored(theirs, theirs.model, rows, scorer, gate)
    mine = promotion.once(_challengers_scores)
    apart = difference(mine, score, gate.confidence)
    allowed = 0.0 if gate.require == "better" else gate.margin * abs(score.score)
    passed = apart.low > 0 if gate.require == "better" else apart.low >= -allowed
    found = words.compared(scorer, mine, score, theirs.label, rows, apart, gate.confidence)
    limit = words.limit(gate, (allowed, score.score))
    return Outcome(passed, found, limit, _figures(scorer, mine, score, theirs.label, rows, apart, gate))


def baseline(promotion: Promotion) -> Outcome:
    """Ask whether the challenger's recipe beats every baseline of its task."""
    recipe, gate = promotion.once(challenger_recipe), promotion.environment.gate
    rows, scorer = promotion.once(evidence), _scorer(promotion)
    if too_few := _too_few(rows, gate):
        return too_few
    mine, compared, failed = promotion.once(_challengers_scores), [], []
    for model in promotion.catalog.baselines(recipe.signature.task):
        try:
            theirs = _scored(recipe, model, rows, scorer, gate)
            compared.append((difference(mine, theirs, gate.confidence), theirs, model.name))
        except PegboardError as error:
            failed.append(f"{model.name}: {error}")
    limit = words.better(gate)
    if not compared:
        return Outcome(False, f"no baseline can be measured by {scorer.name}: {'; '.join(failed)}", limit)
    apart, theirs, name = min(compared, key=lambda one: one[0].low)
    found = words.compared(scorer, mine, theirs, name, rows, apart, gate.confidence)
    return Outcome(apart.low > 0, found, limit, _figures(scorer, mine, theirs, name, rows, apart, gate))


def _refuse_other_task(ours: Recipe, theirs: Recipe) -> None:
    mine, other = ours.signature, theirs.signature
    if (mine.task, mine.target) != (other.task, other.target):
        raise DataError(
            f"{theirs.label} is a {other.task} of {other.target!r}, and {ours.label} a {mine.task} of "
            f"{mine.target!r}: they cannot be compared; publish it under another name"
        )


def _too_few(rows: Evidence, gate: Gate) -> Outcome | None:
    if len(rows.unseen) >= gate.min_rows:
        return None
    found = f"{len(rows.unseen)} {rows.origin} are too few to tell: give newer labelled rows with --data"
    return Outcome(False, found, f"at least {gate.min_rows} rows that neither has seen", {"rows": len(rows.unseen)})


def _scorer(promotion: Promotion) -> ScorerSpec:
    recipe = promotion.once(challenger_recipe)
    task = recipe.signature.task
    return find_scorer(recipe.experiment.scorer or DEFAULT_SCORERS[task], task, promotion.catalog)


def _challengers_scores(promotion: Promotion) -> Scores:
    recipe = promotion.once(challenger_recipe)
    gate = promotion.environment.gate
    return _scored(recipe, recipe.model, promotion.once(evidence), _scorer(promotion), gate)


def _scored(recipe: Recipe, model: ModelSpec, rows: Evidence, scorer: ScorerSpec, gate: Gate) -> Scores:
    """Fit a recipe on the training part, and score it on the rows that it has not seen."""
    answered, target = _fitted(recipe, model, rows)
    with blamed(f"scorer {scorer.name!r}"):
        measure = scorer.make()
    return scores(measure, answered, target, gate.resamples)


def _fitted(recipe: Recipe, model: ModelSpec, rows: Evidence) -> tuple[Answered, npt.NDArray[Any]]:
    contender = recipe.contender(rows.table, rows.source, model)
    train, unseen = (recipe.table(frame, contender.signature) for frame in (rows.train, rows.unseen))
    with threadpool_limits(1), blamed(f"model {model.name!r}"):
        pipeline = contender.build().fit(train.features, train.target)
    return Answered(pipeline, unseen.features), unseen.target


def _figures(
    scorer: ScorerSpec, ours: Scores, theirs: Scores, other: str, rows: Evidence, apart: Difference, gate: Gate
) -> dict[str, Any]:
    sign = 1.0 if scorer.greater_is_better else -1.0
    return {
        "scorer": scorer.name,
        "challenger": sign * ours.score,
        "other": other,
        "other_score": sign * theirs.score,
        "better_by": apart.better,
        "low": apart.low,
        "high": apart.high,
        "confidence": gate.confidence,
        "rows": len(rows.unseen),
        "train_rows": len(rows.train),
        "compared_on": rows.origin,
        "resamples": gate.resamples,
        "undefined_resamples": apart.undefined,
    }
