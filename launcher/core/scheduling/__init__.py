"""Which jobs start now, on which slices, and why the others wait."""
