"""The rows that recipes are fitted on, and those that none of them has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pegboard.errors import DataError, PegboardError, Problem, SignatureError
from pegboard.fingerprint import row_shares
from pegboard.frames import conform, target_values
from pegboard.gate.recipe import Recipe
from pegboard.gate.rule import Promotion
from pegboard.signature import Feature, Signature
from pegboard.specs import Kind, SourceSpec
from pegboard.tables import read_chunks
from pegboard.training.source import configured, load

CHUNK = 100_000
#: Beyond so many rows the interval is narrow, and resampling takes minutes: always the same ones are drawn.
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Evidence:
    """A source's table, what of it recipes are fitted on, and the rows to compare on; ``origin`` says where from."""

    source: SourceSpec
    table: pd.DataFrame
    train: pd.DataFrame
    unseen: pd.DataFrame
    origin: str


def challenger_recipe(promotion: Promotion) -> Recipe:
    """Return the recipe of the version that is to be promoted."""
    return Recipe.of(promotion.version, promotion.bundle, promotion.catalog)


def champion_recipe(promotion: Promotion) -> Recipe:
    """Return the champion's recipe; there must be one."""
    if promotion.champion is None:
        raise DataError("there is no champion")
    bundle = promotion.registry.open(promotion.champion)
    return Recipe.of(promotion.champion, bundle, promotion.catalog)


def evidence(promotion: Promotion) -> Evidence:
    """Load the challenger's source as it is today, and keep apart what no side may have seen."""
    recipe = promotion.once(challenger_recipe)
    named = promotion.catalog.get(SourceSpec, recipe.experiment.source)
    source, options = configured(named, recipe.experiment.source_options)
    table = load(source, options)
    if promotion.data is None:
        held = [_held_out(side, table, source) for side in _sides(promotion, table, source)]
        train, unseen = table[~np.logical_or.reduce(held)], table[np.logical_and.reduce(held)]
        origin = "rows held out"
    else:
        unseen = promotion.once(given_rows)
        train, origin = table[~_occurring(recipe, table, unseen, source)], f"rows of {promotion.data.name}"
        if train.empty:
            raise DataError(
                f"all {len(table):,} rows of source {source.name!r} are in {promotion.data}: give newer ones"
            )
    if len(unseen) > MOST_ROWS:
        unseen, origin = unseen.sample(MOST_ROWS, random_state=0), f"{origin}, drawn from {len(unseen):,}"
    return Evidence(source, table, train.reset_index(drop=True), unseen.reset_index(drop=True), origin)


def _sides(promotion: Promotion, table: pd.DataFrame, source: SourceSpec) -> list[Recipe]:
    """Return the recipes whose hold-outs count; why a champion cannot be made again is for its own rule to say."""
    sides = [promotion.once(challenger_recipe)]
    if promotion.champion is not None:
        try:
            recipe = promotion.once(champion_recipe)
            recipe.signature_on(table, source)
        except PegboardError:
            return sides
        sides.append(recipe)
    return sides


def _held_out(recipe: Recipe, table: pd.DataFrame, source: SourceSpec) -> npt.NDArray[np.bool_]:
    """Return the rows that a recipe's training holds out, by the hash that decides there."""
    return _shares(recipe, table, recipe.signature_on(table, source)) < recipe.experiment.holdout


def _occurring(recipe: Recipe, table: pd.DataFrame, newer: pd.DataFrame, source: SourceSpec) -> npt.NDArray[np.bool_]:
    """Return which rows of the table are among the newer ones, by their keys if both have them."""
    signature = recipe.signature_on(table, source)
    if not set(signature.keys) <= set(newer.columns):
        signature = replace(signature, keys=())
    return np.isin(_shares(recipe, table, signature), _shares(recipe, newer, signature))


def _shares(recipe: Recipe, frame: pd.DataFrame, signature: Signature) -> npt.NDArray[np.float64]:
    """Return each row's place in [0, 1): what :mod:`pegboard.training.split` compares with the hold-out's share."""
    rows = frame[[*signature.keys]] if signature.keys else recipe.table(frame, signature).features
    return row_shares([rows[name].to_numpy() for name in rows.columns], len(frame))


def given_rows(promotion: Promotion) -> pd.DataFrame:
    """Read the newer labelled rows; raises :class:`DataError` naming row and field of those that do not fit."""
    path, signature = promotion.data, promotion.bundle.signature
    if path is None:
        raise DataError("no file of newer rows is given")
    labelled = replace(signature, features=(*signature.features, _target(signature)))
    frame = pd.concat(list(read_chunks(path, labelled, CHUNK)), ignore_index=True)
    problems: list[Problem] = []
    for check in (conform, target_values):
        try:
            check(frame, signature)
        except SignatureError as error:
            problems += error.problems
    if problems:
        raise DataError(f"{path}: {SignatureError(problems)}")
    return frame


def _target(signature: Signature) -> Feature:
    """Return the target as a column to read: a file's texts become what its classes, or numbers, are."""
    if not signature.classes:
        return Feature(signature.target, "number", nullable=True)
    kinds: dict[type, Kind] = {str: "category", bool: "boolean", int: "integer"}
    kind = kinds[type(signature.classes[0])]
    texts = tuple(map(str, signature.classes)) if kind == "category" else None
    return Feature(signature.target, kind, nullable=True, categories=texts)
