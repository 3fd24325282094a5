"""scikit-learn's models and scorers for Pegboard."""
