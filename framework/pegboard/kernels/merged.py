"""Many trees as one of scikit-learn's own ``Tree``, which then answers a row in one call.

The trees hang under a balanced selector on one more column, which holds the number of a tree: a row is given once for
each. This leans on the private layout of a node, which is compared with the one it was written for.

Most of the time goes into waiting for memory: a forest has more nodes than a processor's near cache holds. So leaves
of one value are one leaf, and a node is followed by the child that more training rows went to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: The node of scikit-learn's ``Tree`` for which this is written.
NODE = np.dtype(
    {
        "names": [
            "left_child",
            "right_child",
            "feature",
            "threshold",
            "impurity",
            "n_node_samples",
            "weighted_n_node_samples",
            "missing_go_to_left",
        ],
        "formats": ["<i8", "<i8", "<i8", "<f8", "<f8", "<i8", "<f8", "u1"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)

Nodes = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]


def merge(trees: Sequence[Any], width: int) -> Any:
    """Return one ``Tree`` for trees of ``width`` features; ``None`` if a node is not as it is known here.

    Column ``width`` of its rows is the number of the tree to ask, its ``value`` those of the trees' leaves.
    """
    states = [tree.__getstate__() for tree in trees]
    if any(state["nodes"].dtype != NODE for state in states):
        return None
    nodes, starts = joined([state["nodes"] for state in states], width)
    leaves = np.concatenate([state["values"] for state in states])
    values = np.concatenate([np.zeros((starts[0], *leaves.shape[1:])), leaves])
    nodes, values = _laid_out(nodes, values)
    kind, (_, classes, outputs) = type(trees[0]), trees[0].__reduce__()[1]
    tree = kind(width + 1, classes, outputs)
    depth = max(state["max_depth"] for state in states) + len(states).bit_length()
    tree.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": values})
    return tree


def joined(trees: Sequence[Nodes], feature: int) -> tuple[Nodes, list[int]]:
    """Return the nodes of trees under a selector on ``feature``, which comes first, and where each tree starts."""
    sizes = [len(nodes) for nodes in trees]
    selector, starts = _selector(sizes, feature)
    nodes = np.concatenate([selector, *trees])
    inner = nodes["left_child"] >= 0
    inner[: len(selector)] = False
    offsets = np.repeat([0, *starts], [len(selector), *sizes])[inner]
    for child in ("left_child", "right_child"):
        nodes[child][inner] += offsets
    return nodes, starts


def _selector(sizes: Sequence[int], feature: int) -> tuple[Nodes, list[int]]:
    """Return the nodes of a balanced tree over the numbers of trees, and where each tree of these sizes starts."""
    starts: list[int] = np.cumsum([len(sizes) - 1, *sizes[:-1]]).tolist()
    nodes: list[tuple[Any, ...]] = []

    def place(first: int, last: int) -> int:
        if first == last:
            return starts[first]
        mine, middle = len(nodes), (first + last) // 2
        nodes.append(())
        left, right = place(first, middle), place(middle + 1, last)
        nodes[mine] = (left, right, feature, middle + 0.5, 0.0, 0, 0.0, 0)
        return mine

    place(0, len(sizes) - 1)
    return np.array(nodes, dtype=NODE), starts


def _laid_out(nodes: Nodes, values: npt.NDArray[np.float64]) -> tuple[Nodes, npt.NDArray[np.float64]]:
    """Return the nodes in the order in which they are best read, and their values."""
    same = _one_leaf_for_each_value(nodes, values)
    left, right = same[nodes["left_child"]], same[nodes["right_child"]]
    inner = _reading_order(left, right, nodes["left_child"] >= 0, nodes["n_node_samples"])
    leaves = np.flatnonzero((nodes["left_child"] < 0) & (same == np.arange(len(nodes))))
    kept = np.concatenate([inner, leaves])
    place = np.empty(len(nodes), dtype=np.intp)
    place[kept] = np.arange(len(kept))
    laid = nodes[kept]
    laid["left_child"][: len(inner)] = place[left[inner]]
    laid["right_child"][: len(inner)] = place[right[inner]]
    return laid, values[kept]


def _one_leaf_for_each_value(nodes: Nodes, values: npt.NDArray[np.float64]) -> Indices:
    """Return, for each node, itself, or for a leaf the first leaf that has the same value to the bit."""
    same = np.arange(len(nodes))
    leaves = np.flatnonzero(nodes["left_child"] < 0)
    flat = np.ascontiguousarray(values[leaves].reshape(len(leaves), -1))
    bits = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()
    _, first, number = np.unique(bits, return_index=True, return_inverse=True)
    same[leaves] = leaves[first][number]
    return same


def _reading_order(left: Indices, right: Indices, inner: Any, rows: Indices) -> Indices:
    """Return the inner nodes, each before all below its busier child, and those before all below the other."""
    levels = [np.flatnonzero(inner[:1])]
    while len(levels[-1]):
        below = np.concatenate([left[levels[-1]], right[levels[-1]]])
        levels.append(below[inner[below]])
    size = np.zeros(len(inner), dtype=np.intp)
    for level in reversed(levels):
        size[level] = 1 + size[left[level]] + size[right[level]]
    position = np.zeros_like(size)
    for level in levels:
        busier = np.where(rows[left[level]] >= rows[right[level]], left[level], right[level])
        other = left[level] + right[level] - busier
        position[busier] = position[level] + 1
        position[other] = position[level] + 1 + size[busier]
    found = np.concatenate(levels)
    return found[np.argsort(position[found])]
