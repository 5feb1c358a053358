"""A damaged, lost or restored database: reads what is left, and puts a new one in its place."""
