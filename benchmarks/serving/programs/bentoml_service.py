"""The pipeline as a BentoML service; the variable PIPELINE names its file."""

from __future__ import annotations

import os

import bentoml
import joblib
import numpy as np
import pandas as pd


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Houses:
    """One pipeline, one worker."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(os.environ["PIPELINE"])

    @bentoml.api
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Answer a table with a prediction for each row."""
        return np.asarray(self.pipeline.predict(rows))
