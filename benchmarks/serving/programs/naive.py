"""A: what everybody writes. A DataFrame of the JSON body, the pipeline's own ``predict``, Flask on waitress.

Usage: naive.py PORT PIPELINE
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import joblib
import pandas as pd
import waitress
from flask import Flask, request

pipeline = joblib.load(sys.argv[2])
app = Flask(__name__, static_folder=None)


@app.post("/predict")
def predict() -> dict[str, Any]:
    """Answer a JSON list of records with a prediction for each."""
    return {"predictions": pipeline.predict(pd.DataFrame(request.get_json())).tolist()}


logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else it warns of every request that waits
waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), ident=None, _quiet=True)
