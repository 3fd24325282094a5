"""Boosted trees as one of scikit-learn's own ``Tree``, which then answers a row in one call.

The trees hang under a selector on one more column (:mod:`pegboard.kernels.merged`). A split by categories becomes
splits by their numbers: every run of neighbouring categories that go the same way costs one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.tree._tree import Tree

from pegboard.kernels.merged import NODE, joined

LEAF = -1

Nodes = npt.NDArray[Any]
Indices = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BoostedTree:
    """One tree, node by node, the root first; a node without children (:data:`LEAF`) is a leaf.

    A row goes left if it has a value that is at most ``threshold``, or none and ``missing_left``. Where a node is in
    ``categories``, its flags say which numbers of categories go left, the last flag being for all higher ones.
    """

    left: Indices
    right: Indices
    feature: Indices
    threshold: npt.NDArray[np.floating[Any]]
    missing_left: Flags
    value: npt.NDArray[np.floating[Any]]
    categories: Mapping[int, Flags] = field(default_factory=dict)


class Leaves:
    """Answers a row with the values of the leaves that it falls into, tree by tree.

    Rows are compared in float32, so thresholds and values have to be float32, or whole numbers below 2**24.
    """

    def __init__(self, trees: Sequence[BoostedTree], width: int) -> None:
        nodes, starts = joined([_laid_out(tree) for tree in trees], width)
        self._values = np.zeros(len(nodes), dtype=trees[0].value.dtype)
        for start, tree in zip(starts, trees, strict=True):
            self._values[start : start + len(tree.value)] = tree.value
        self._tree = Tree(width + 1, np.array([1], dtype=np.intp), 1)
        state = {"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": np.zeros((len(nodes), 1, 1))}
        self._tree.__setstate__(state)
        self._rows = np.zeros((len(trees), width + 1), dtype=np.float32)
        self._rows[:, -1] = range(len(trees))

    def of(self, row: Sequence[float]) -> npt.NDArray[Any]:
        """Return one value for each tree."""
        rows = self._rows.copy()
        rows[:, :-1] = row
        values: npt.NDArray[Any] = self._values[self._tree.apply(rows)]
        return values


def _laid_out(tree: BoostedTree) -> Nodes:
    """Return a tree's nodes as scikit-learn's, those that are there for categories behind its own."""
    nodes = np.zeros(len(tree.left), dtype=NODE)
    nodes["left_child"] = tree.left
    nodes["right_child"] = tree.right
    nodes["feature"] = tree.feature
    nodes["threshold"] = tree.threshold
    nodes["missing_go_to_left"] = tree.missing_left
    more: list[tuple[Any, ...]] = []
    for node, goes_left in tree.categories.items():
        nodes[node] = _by_number(nodes[node], goes_left, len(nodes), more)
    return np.concatenate([nodes, np.array(more, dtype=NODE)])


def _by_number(node: Any, goes_left: Flags, size: int, more: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return a split by categories as a balanced search for the run of categories that a number is in.

    Every split but the first is added to ``more``, whose first has the number ``size``. What is missing goes down to
    the first run that goes where it has to go.
    """
    ends = np.flatnonzero(goes_left[1:] != goes_left[:-1]) + 0.5
    sides = [bool(goes_left[0]), *(bool(goes_left[int(end + 0.5)]) for end in ends)]
    if len(sides) == 1:
        ends, sides = np.array([np.inf]), sides * 2
        sides[1] = not sides[0]
    wanted = 0 if sides[0] == bool(node["missing_go_to_left"]) else 1

    def split(first: int, last: int) -> tuple[Any, ...]:
        middle = (first + last) // 2
        left, right = place(first, middle), place(middle + 1, last)
        return (left, right, node["feature"], ends[middle], 0.0, 0, 0.0, wanted <= middle)

    def place(first: int, last: int) -> int:
        if first == last:
            return int(node["left_child"] if sides[first] else node["right_child"])
        more.append(split(first, last))
        return size + len(more) - 1

    return split(0, len(ends))
