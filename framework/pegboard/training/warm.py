"""Imported by the server that forks workers, and nobody else: what every first fit loads and looks up, done once.

That is scikit-learn's lazy imports, and the plugins of the libraries that it asks about tables. A fit of the default
preprocessing has no parallel region: one of OpenMP before a fork would hang the workers.
"""

from __future__ import annotations

import gc
from contextlib import suppress

import pandas as pd
import sklearn.ensemble
import sklearn.linear_model
import sklearn.metrics
import sklearn.svm  # noqa: F401 - what most models are made of
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline

from pegboard.preprocessing import tabular
from pegboard.signature import Feature, Signature
from pegboard.specs import Wants
from pegboard.training import working  # noqa: F401 - what every worker runs

with suppress(Exception):  # it only saves time, and without it the server would not start
    signature = Signature("regression", (Feature("number", "number"), Feature("category", "category")), "target")
    frame = pd.DataFrame({"number": [0.0, 1.0], "category": pd.Series(["a", "b"], dtype=object)})
    make_pipeline(tabular(signature, Wants(scaling=True)), DummyRegressor()).fit(frame, [0.0, 1.0])

gc.freeze()  # so that the workers' collectors leave these pages shared
