"""Verbs about the queue as a whole: its order, forecasts, reservations."""
