"""One row through LightGBM's C interface, which answers in microseconds; tables go through its Python interface.

LightGBM prepares a configuration for single rows once (``LGBM_BoosterPredictForMatSingleRowFastInit``). Its buffers are
guarded by a lock of LightGBM's; calls here hold Python's own lock besides (``ctypes.PyDLL``), because handing that over
to another thread and back costs more than the prediction.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from lightgbm import Booster
from lightgbm.libpath import _LIB

from pegboard.kernels import Encoder
from pegboard.signature import Signature

#: Of LightGBM's ``c_api.h``.
PREDICT_NORMAL = 0
FLOAT64 = 1
ALL_THREADS = 0

_library = ctypes.PyDLL(_LIB._name)
_library.LGBM_GetLastError.restype = ctypes.c_char_p
_prepare = _library.LGBM_BoosterPredictForMatSingleRowFastInit
_prepare.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 4, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p]
_predict = _library.LGBM_BoosterPredictForMatSingleRowFast
_predict.argtypes = [ctypes.c_void_p] * 4
_release = _library.LGBM_FastConfigFree
_release.argtypes = [ctypes.c_void_p]


class Boosted:
    """A booster's own answers: one number, or a probability for each of ``classes``."""

    def __init__(self, encoder: Encoder, booster: Booster, classes: int, threads: int) -> None:
        self._encoder = encoder
        self._booster = booster
        self._classes = classes
        self._threads = threads
        self._row = ctypes.c_double * encoder.width
        self._answer = ctypes.c_double * max(1, classes)
        self._config = _prepared(booster, encoder.width)
        # The configuration refers to the booster, so that has to be there for longer.
        weakref.finalize(self, _free, self._config, booster)

    def one(self, values: Sequence[Any]) -> float | list[float]:
        """Return the booster's answer for one row."""
        row, answer, length = self._row(*self._encoder.one(values)), self._answer(), ctypes.c_int64()
        _check(_predict(self._config, row, ctypes.byref(length), answer))
        if not self._classes:
            return answer[0]
        return list(answer) if self._classes > 2 else [1.0 - answer[0], answer[0]]

    def many(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the booster's answers for canonical columns."""
        matrix = self._encoder.many(columns)
        answers = np.asarray(self._booster.predict(matrix, num_threads=self._threads, verbosity=-1), dtype=np.float64)
        return np.stack([1.0 - answers, answers], axis=1) if self._classes == 2 else answers


def build(pipeline: Any, signature: Signature) -> Boosted | None:
    """Compile a fitted pipeline that ends in a regressor or classifier of LightGBM; ``None`` if it is not known."""
    estimator = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
    encoder = Encoder.of(pipeline, signature)
    if encoder is None or encoder.width != estimator.n_features_in_:
        return None
    classes = list(getattr(estimator, "classes_", ()))
    if classes != list(signature.classes):
        return None
    return Boosted(encoder, estimator.booster_, len(classes), max(ALL_THREADS, estimator.n_jobs or ALL_THREADS))


def _prepared(booster: Booster, width: int) -> ctypes.c_void_p:
    config, iterations, threads = ctypes.c_void_p(), booster.best_iteration, b"num_threads=1 verbosity=-1"
    settings = (PREDICT_NORMAL, 0, iterations, FLOAT64, width, threads)
    _check(_prepare(booster._handle, *settings, ctypes.byref(config)))
    return config


def _free(config: ctypes.c_void_p, _: Booster) -> None:
    _release(config)


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"LightGBM: {_library.LGBM_GetLastError().decode(errors='replace')}")
