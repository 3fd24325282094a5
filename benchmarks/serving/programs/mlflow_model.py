"""Save the pipeline as an MLflow model of the scikit-learn flavour.

Usage: mlflow_model.py PIPELINE DIRECTORY
"""

from __future__ import annotations

import sys

import joblib
import mlflow.sklearn

# The requirements are stated because MLflow would start a process to infer them, and nothing here reads them.
mlflow.sklearn.save_model(
    joblib.load(sys.argv[1]), sys.argv[2], serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
)
