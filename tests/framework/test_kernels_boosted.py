"""Boosted trees in one call: every split, by number and by category, goes the way that it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pegboard.kernels.boosted import LEAF, BoostedTree, Leaves

NUMBER, CATEGORY = 0, 1


def tree(*nodes: Sequence[Any], categories: dict[int, Any] | None = None) -> BoostedTree:
    """Nodes are (left, right, feature, threshold, missing_left, value)."""
    left, right, feature, threshold, missing, value = (np.array(column) for column in zip(*nodes, strict=True))
    return BoostedTree(left, right, feature, threshold.astype(float), missing.astype(bool), value, categories or {})


def leaf(value: float) -> tuple[int, int, int, float, bool, float]:
    return (LEAF, LEAF, 0, 0.0, False, value)


def split(feature: int, threshold: float = 0.0, missing_left: bool = False) -> tuple[int, int, int, float, bool, float]:
    return (1, 2, feature, threshold, missing_left, 0.0)


def test_a_number_goes_left_up_to_the_threshold_and_where_it_is_missing_as_the_split_says() -> None:
    trees = [tree(split(NUMBER, 2.0, to_left), leaf(-1.5), leaf(1.5)) for to_left in (False, True)]
    leaves = Leaves(trees, 2)
    for value, expected in ((1.0, [-1.5, -1.5]), (2.0, [-1.5, -1.5]), (2.5, [1.5, 1.5]), (np.nan, [1.5, -1.5])):
        assert leaves.of([value, 0.0]).tolist() == expected


@given(st.lists(st.tuples(st.lists(st.booleans(), min_size=1, max_size=12), st.booleans()), min_size=1, max_size=5))
def test_a_category_goes_where_its_flag_says_and_higher_ones_where_the_last_does(splits: Any) -> None:
    trees = [
        tree(split(CATEGORY, missing_left=to_left), leaf(-1.0), leaf(1.0), categories={0: np.array(flags)})
        for flags, to_left in splits
    ]
    leaves = Leaves(trees, 2)
    for category in range(15):
        expected = [-1.0 if flags[min(category, len(flags) - 1)] else 1.0 for flags, _ in splits]
        assert leaves.of([0.0, category]).tolist() == expected
    assert leaves.of([0.0, np.nan]).tolist() == [-1.0 if to_left else 1.0 for _, to_left in splits]


def test_splits_by_category_lead_to_other_splits_and_one_leaf_can_be_a_whole_tree() -> None:
    deep = BoostedTree(
        left=np.array([1, 3, LEAF, LEAF, LEAF]),
        right=np.array([2, 4, LEAF, LEAF, LEAF]),
        feature=np.array([CATEGORY, CATEGORY, 0, 0, 0]),
        threshold=np.zeros(5),
        missing_left=np.array([True, False, False, False, False]),
        value=np.array([0, 0, 30, 10, 20], dtype=np.float32),
        categories={0: np.array([True, False, True, False]), 1: np.array([False, False, True, False])},
    )
    leaves = Leaves([deep, tree(leaf(5.0))], 2)
    assert [leaves.of([0.0, category]).tolist() for category in (0, 1, 2, 3, np.nan)] == [
        [20.0, 5.0],
        [30.0, 5.0],
        [10.0, 5.0],
        [30.0, 5.0],
        [20.0, 5.0],
    ]
    assert leaves.of([0.0, 0.0]).dtype == np.float32
