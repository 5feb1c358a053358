"""A damaged, lost or restored database: reads what is left, and replaces it with a new one."""
