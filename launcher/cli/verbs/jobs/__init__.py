"""Verbs that queue jobs, show them, and change them."""
