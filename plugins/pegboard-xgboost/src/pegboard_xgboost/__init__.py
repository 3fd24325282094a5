"""XGBoost for Pegboard."""
