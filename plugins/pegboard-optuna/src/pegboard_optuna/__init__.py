"""Tunes Pegboard's models with Optuna."""
