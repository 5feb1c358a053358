"""The queue over time and what jobs used, as tables and as pictures."""
