"""LightGBM on all of Ames, on the folds that the reference figures were measured on.

Figures: RMSE, ``KFold(5, shuffle=True, random_state=0)``, the 11 features of the first experiment.
"""

from __future__ import annotations

import pytest
from sklearn.model_selection import KFold

from pegboard import ModelSpec, PreprocessorSpec, ScorerSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.leaderboard import Leaderboard
from pegboard.learning import learn_signature
from pegboard.manager import load_plugins
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.values import Table

#: Of LightGBM's defaults. The tolerance is smaller than the distance to the forest, which is 2.4 %.
REFERENCE, TOLERANCE = 33_479, 0.02
SEED_MODELS = ("linear-regression", "svr", "random-forest-regressor")


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    catalog = Catalog(load_plugins(environ={"PEGBOARD_LOAD_PLUGINS": "house-prices,lightgbm,sklearn"}))
    source = catalog.get(SourceSpec, "house-prices")
    frame = source.load()  # type: ignore[misc]
    signature = learn_signature(frame, source)
    tabular = catalog.get(PreprocessorSpec, "tabular")
    models = [catalog.get(ModelSpec, name) for name in ("lightgbm-regressor", *SEED_MODELS)]
    folds = list(KFold(5, shuffle=True, random_state=0).split(frame))
    contenders = [Contender(model, tabular, signature, 0) for model in models]
    return compare(Table.of(frame, signature), folds, contenders, catalog.get(ScorerSpec, "rmse"))


@pytest.mark.parametrize("name", SEED_MODELS)
def test_lightgbm_beats_each_seed_model_on_the_same_folds(name: str, board: Leaderboard) -> None:
    assert board["lightgbm-regressor"].mean < board[name].mean


def test_lightgbm_reaches_its_reference_figure(board: Leaderboard) -> None:
    assert board["lightgbm-regressor"].mean == pytest.approx(REFERENCE, rel=TOLERANCE)
