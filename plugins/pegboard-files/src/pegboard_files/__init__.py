"""Tables in files for Pegboard."""
