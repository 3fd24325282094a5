"""Histogram gradient boosting, elastic nets and nearest neighbours of scikit-learn for Pegboard."""
