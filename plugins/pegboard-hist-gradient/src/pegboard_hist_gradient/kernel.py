"""One row through the trees of scikit-learn's histogram gradient boosting, with its bits; tables take its own way.

scikit-learn asks tree after tree, each with threads of its own. Here a row goes through all of them in one call. That
compares in float32, so a number becomes the count of the model's thresholds below it, which float32 holds exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pegboard.frames import as_frame
from pegboard.kernels import Encoder
from pegboard.kernels.boosted import LEAF, BoostedTree, Leaves
from pegboard.signature import Signature

#: Of a bitset of scikit-learn, which is eight numbers.
CATEGORIES = 256


class Boosted:
    """The sums of the leaves, one or one for each class, and what scikit-learn's loss makes of them."""

    def __init__(self, pipeline: Any, encoder: Encoder, signature: Signature) -> None:
        self._pipeline, estimator = pipeline, pipeline[-1]
        self._encoder = encoder
        self._signature = signature
        self._order = _order(estimator)
        trees = [tree for iteration in estimator._predictors for tree in iteration]
        self._thresholds = [_thresholds(trees, feature) for feature in range(encoder.width)]
        self._leaves = Leaves([_tree(tree, self._thresholds) for tree in trees], encoder.width)
        self._start = estimator._baseline_prediction
        classes = bool(signature.classes)
        self._finish = estimator._loss.predict_proba if classes else estimator._loss.link.inverse

    def one(self, values: Sequence[Any]) -> float | list[float]:
        """Return scikit-learn's answer for one row."""
        encoded = self._encoder.one(values)
        row = [
            bisect_left(thresholds, value) if thresholds and (value := encoded[i]) == value else encoded[i]
            for i, thresholds in zip(self._order, self._thresholds, strict=True)
        ]
        found = self._leaves.of(row).reshape(-1, self._start.shape[1])
        # `sum` would add in another order.
        answer = self._finish(np.add.accumulate(np.concatenate([self._start, found]))[-1:])[0].tolist()
        single: float | list[float] = answer if self._signature.classes else answer[0]
        return single

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the pipeline's answers for canonical columns."""
        features = as_frame(columns, self._signature)
        ask = self._pipeline.predict_proba if self._signature.classes else self._pipeline.predict
        answers: npt.NDArray[np.float64] = ask(features)
        return answers


def build(pipeline: Any, signature: Signature) -> Boosted | None:
    """Compile a fitted pipeline that ends in histogram gradient boosting; ``None`` if it is not known."""
    encoder = Encoder.of(pipeline, signature)
    if encoder is None or encoder.width != pipeline[-1].n_features_in_ or not _categories_are_numbers(pipeline[-1]):
        return None
    if list(getattr(pipeline[-1], "classes_", ())) != list(signature.classes):
        return None
    return Boosted(pipeline, encoder, signature)


def _categories_are_numbers(estimator: Any) -> bool:
    """Say whether the categories that the estimator met are 0, 1, 2, …, so that it numbers them as they are."""
    if estimator._preprocessor is None:
        return True
    lists = estimator._preprocessor.named_transformers_["encoder"].categories_
    known = [np.asarray(given, dtype=np.float64) for given in lists]
    return all((given[~np.isnan(given)] == np.arange((~np.isnan(given)).sum())).all() for given in known)


def _order(estimator: Any) -> list[int]:
    """Return the positions of the features in the order of the estimator, which puts categories first."""
    positions: list[int] = np.arange(estimator.n_features_in_).tolist()
    is_category = [False] * len(positions) if estimator._preprocessor is None else _given(estimator).tolist()
    return sorted(positions, key=lambda position: not is_category[position])


def _given(estimator: Any) -> npt.NDArray[np.bool_]:
    (_, _, columns), *_ = estimator._preprocessor.transformers_
    flags: npt.NDArray[np.bool_] = np.asarray(columns, dtype=bool)
    return flags


def _thresholds(trees: Sequence[Any], feature: int) -> list[float]:
    """Return what rows are compared with at splits by one feature's number, in ascending order."""
    found = [_splits(tree.nodes, feature)["num_threshold"] for tree in trees]
    thresholds: list[float] = np.unique(np.concatenate(found)).tolist()
    return thresholds


def _splits(nodes: npt.NDArray[Any], feature: int) -> npt.NDArray[Any]:
    chosen = (nodes["feature_idx"] == feature) & (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
    splits: npt.NDArray[Any] = nodes[chosen]
    return splits


def _tree(tree: Any, thresholds: Sequence[Sequence[float]]) -> BoostedTree:
    nodes = tree.nodes
    leaf = nodes["is_leaf"] != 0
    by_category = (nodes["is_categorical"] != 0) & ~leaf
    counts = [
        0 if skipped else bisect_left(thresholds[feature], threshold)
        for feature, threshold, skipped in zip(
            nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), (leaf | by_category).tolist(), strict=True
        )
    ]
    return BoostedTree(
        left=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        right=np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
        feature=nodes["feature_idx"],
        threshold=np.array(counts, dtype=np.float64),
        missing_left=nodes["missing_go_to_left"] != 0,
        value=nodes["value"],
        categories={
            node: _flags(tree.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
            for node in np.flatnonzero(by_category).tolist()
        },
    )


def _flags(bitset: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(bitset.view(np.uint8), bitorder="little")[:CATEGORIES].astype(bool)
