"""A model that takes as many seconds as a row says; unpickling needs this module, so it is on the server's path."""

from __future__ import annotations

import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from pegboard import bundle as bundles
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.registry import Registry
from pegboard.signature import Feature, Signature

SIGNATURE = Signature("regression", (Feature("seconds", "number"),), "slept")


class Sleeper:
    """Sleeps, and returns how long."""

    def predict(self, frame: pd.DataFrame) -> Any:
        seconds = np.asarray(frame["seconds"], dtype=np.float64)
        time.sleep(float(seconds.max()))
        return seconds


def publish(location: str) -> None:
    """Publish it as ``sleeper``."""
    pipeline = io.BytesIO()
    joblib.dump(Sleeper(), pipeline)
    replay = json.dumps({"rows": [{"seconds": 0.0}], "predictions": [0.0]}).encode()
    manifest = {
        "name": "sleeper",
        "model": "sleeper",
        "signature": SIGNATURE.to_dict(),
        "leaderboard": Leaderboard.of("rmse", False, [Candidate("sleeper", (0.0, 0.0))]).to_dict(),
        "libraries": {},
        "requirements": {"direct": [], "lock": {}, "origins": {}, "unowned": []},
        "metrics": {},
        "data": {},
        "python": "3",
        "plugins": [],
    }
    with tempfile.TemporaryDirectory() as directory:
        files = {bundles.PIPELINE: pipeline.getvalue(), bundles.REPLAY: replay}
        bundles.write(Path(directory) / "bundle", manifest, files)
        Registry(location).publish(Path(directory) / "bundle")
