"""LightGBM's gradient boosting for Pegboard."""
