"""What ``mlflow.pyfunc.load_model`` loads: a bundle that answers tables, where Pegboard is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegboard.bundle import open_bundle, verify
from pegboard.predictor import Predictor

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


class BundleModel:
    """A bundle's predictor, as MLflow calls it."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame) -> npt.NDArray[Any]:
        """Return values (regression) or labels (classification), one for each row.

        Raises :class:`~pegboard.errors.SignatureError` for a table that does not fit.
        """
        return self._predictor.predict(model_input).values


def _load_pyfunc(path: str) -> BundleModel:
    """Open a bundle, check its files and its stored answers, and return it as a model; the name is MLflow's."""
    bundle = open_bundle(Path(path))
    verify(bundle)
    return BundleModel(Predictor.load(bundle))
