"""SQL queries as tables for Pegboard."""
