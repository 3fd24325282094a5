"""XGBoost's trees, as its model in JSON has them, for Pegboard to ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.kernels.boosted import BoostedTree, Leaves


def leaves(trees: Sequence[Mapping[str, Any]], width: int) -> Leaves:
    """Return what answers a row of ``width`` features with one leaf's value for each tree."""
    return Leaves([_tree(tree) for tree in trees], width)


def _tree(tree: Mapping[str, Any]) -> BoostedTree:
    left = np.array(tree["left_children"])
    given = np.array(tree["split_conditions"], dtype=np.float32)
    return BoostedTree(
        left=left,
        right=np.array(tree["right_children"]),
        feature=np.array(tree["split_indices"]),
        # XGBoost's rows go left below the condition, ours up to the threshold.
        threshold=np.nextafter(given, np.float32(-np.inf)),
        missing_left=np.array(tree["default_left"], dtype=bool),
        value=np.where(left < 0, given, np.float32(0)),  # a leaf's value stands where a split has its condition
        categories=dict(_categories(tree)),
    )


def _categories(tree: Mapping[str, Any]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Yield each split by categories: XGBoost names those that go right."""
    lists = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    for node, start, size in lists:
        right = tree["categories"][start : start + size]
        goes_left = np.ones(max(right, default=0) + 2, dtype=bool)
        goes_left[right] = False
        yield node, goes_left
