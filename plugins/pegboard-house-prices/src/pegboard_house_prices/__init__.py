"""Ames house prices for Pegboard."""
