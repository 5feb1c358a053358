"""Rows to values and back, one module per kind of row."""
