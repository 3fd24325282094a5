"""Runs: a record of each, and the report that is made of one."""
