"""One row through XGBoost's trees as Pegboard asks them, with XGBoost's bits; tables go through XGBoost itself.

XGBoost prepares each prediction anew, which takes longer than the way down its trees. It computes in float32, and so
does this: leaves are added up in its order, and the exponential is that of the very library of mathematics that XGBoost
is linked with, since another one may differ in the last bit.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
from xgboost import Booster
from xgboost.core import _LIB

from pegboard.kernels import Encoder
from pegboard.kernels.boosted import Leaves
from pegboard.signature import Signature
from pegboard_xgboost.trees import leaves

Floats = npt.NDArray[np.float32]
Finish = Callable[[Floats], float | list[float]]

ONE = np.float32(1)

#: Beyond this, XGBoost's sigmoid gives what it gives here.
LARGEST_EXPONENT = np.float32(88.7)

_library = ctypes.PyDLL(_LIB._name)
_exp, _log = _library.expf, _library.logf
for _function in (_exp, _log):
    _function.argtypes, _function.restype = [ctypes.c_float], ctypes.c_float


class Boosted:
    """The sums of the leaves, one or one for each class, and what the objective makes of them."""

    def __init__(self, encoder: Encoder, booster: Booster, leaves: Leaves, starts: Floats, finish: Finish) -> None:
        self._encoder = encoder
        self._booster = booster
        self._leaves = leaves
        self._starts = starts[None]
        self._finish = finish

    def one(self, values: Sequence[Any]) -> float | list[float]:
        """Return XGBoost's answer for one row."""
        found = self._leaves.of(self._encoder.one(values)).reshape(-1, self._starts.shape[1])
        # `sum` would add in another order.
        return self._finish(np.add.accumulate(np.concatenate([self._starts, found]))[-1])

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return XGBoost's answers for canonical columns."""
        answers = self._booster.inplace_predict(self._encoder.many(columns, np.float32))
        if self._finish is of_two:
            answers = np.stack([ONE - answers, answers], axis=1)
        return np.asarray(answers, dtype=np.float64)


def compile_pipeline(pipeline: Any, signature: Signature) -> Boosted | None:
    """Compile a fitted pipeline that ends in a regressor or classifier of XGBoost; ``None`` if it is not known."""
    estimator = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
    booster, encoder = estimator.get_booster(), Encoder.of(pipeline, signature)
    if encoder is None or encoder.width != booster.num_features() or not isnan(estimator.missing):
        return None
    if list(getattr(estimator, "classes_", ())) != list(signature.classes):
        return None
    model = json.loads(booster.save_raw("json"))["learner"]
    trees = model["gradient_booster"]
    scores = np.array(json.loads(model["learner_model_param"]["base_score"]), np.float32)
    known = model["objective"]["name"] in OBJECTIVES and trees["name"] == "gbtree"
    # Forests that are boosted, and boosting that has stopped early, are summed up otherwise.
    in_turn = trees["model"]["tree_info"] == [*range(len(scores))] * booster.num_boosted_rounds()
    if not known or not in_turn or booster.attr("best_iteration") is not None:
        return None
    finish = OBJECTIVES[model["objective"]["name"]]
    starts = np.array([_logit(scores[0])]) if finish is of_two else scores
    return Boosted(encoder, booster, leaves(trees["model"]["trees"], encoder.width), starts, finish)


def of_sum(sums: Floats) -> float:
    """Return the sum itself."""
    return float(sums[0])


def of_two(sums: Floats) -> list[float]:
    """Return the probabilities of two classes: the sigmoid of one sum, and what it leaves."""
    likely = ONE / (ONE + np.float32(_exp(min(-sums[0], LARGEST_EXPONENT))))
    return [float(ONE - likely), float(likely)]


def of_many(sums: Floats) -> list[float]:
    """Return the probabilities of more classes: the softmax of a sum each."""
    powers = np.array([_exp(score) for score in sums - sums.max()], np.float32)
    probabilities: list[float] = (powers / np.float32(sum(powers.tolist()))).tolist()
    return probabilities


def _logit(probability: np.float32) -> np.float32:
    return -np.float32(_log(ONE / probability - ONE))


#: What an objective makes of the sums.
OBJECTIVES: dict[str, Finish] = {
    "reg:squarederror": of_sum,
    "reg:squaredlogerror": of_sum,
    "reg:absoluteerror": of_sum,
    "reg:pseudohubererror": of_sum,
    "binary:logistic": of_two,
    "multi:softprob": of_many,
}
