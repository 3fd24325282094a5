"""Runs, versions and aliases of Pegboard in an MLflow server."""
