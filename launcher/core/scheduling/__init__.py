"""Who starts now, on which slices, and why the others wait."""
