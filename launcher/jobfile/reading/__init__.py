"""Reads whole job files: keys, matrices, jobs, and the JSON Schema made from the same table."""
