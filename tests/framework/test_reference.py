"""The seed models on all of Ames, on the folds that the reference figures were measured on.

Figures: RMSE, ``KFold(5, shuffle=True, random_state=0)``, the 11 features of the first experiment.
"""

from __future__ import annotations

import pytest
from sklearn.model_selection import KFold

from pegboard import ModelSpec, PreprocessorSpec, ScorerSpec, SourceSpec
from pegboard.catalog import Catalog
from pegboard.leaderboard import Leaderboard
from pegboard.learning import learn_signature
from pegboard.training.candidate import Contender
from pegboard.training.compare import compare
from pegboard.training.values import Table

REFERENCE = {"linear-regression": 48_822, "svr": 34_962, "random-forest-regressor": 34_271}


@pytest.fixture(scope="module")
def ames_board(catalog: Catalog) -> Leaderboard:
    source = catalog.get(SourceSpec, "house-prices")
    frame = source.load()
    signature = learn_signature(frame, source)
    tabular = catalog.get(PreprocessorSpec, "tabular")
    contenders = [Contender(m, tabular, signature, 0) for m in catalog.models("regression")]
    folds = list(KFold(5, shuffle=True, random_state=0).split(frame))
    return compare(Table.of(frame, signature), folds, contenders, catalog.get(ScorerSpec, "rmse"))


@pytest.mark.parametrize("name", REFERENCE)
def test_the_seed_models_reach_their_reference_figures(name: str, ames_board: Leaderboard) -> None:
    assert ames_board[name].mean == pytest.approx(REFERENCE[name], rel=0.03)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_seed_models_beat_the_baseline_in_every_fold(name: str, ames_board: Leaderboard) -> None:
    baseline = ames_board["dummy-regressor"]
    assert all(mine < theirs for mine, theirs in zip(ames_board[name].scores, baseline.scores, strict=True))


def test_an_svr_on_the_bare_target_would_be_little_better_than_a_constant(catalog: Catalog) -> None:
    from sklearn.compose import TransformedTargetRegressor

    assert isinstance(catalog.get(ModelSpec, "svr").make(), TransformedTargetRegressor)
