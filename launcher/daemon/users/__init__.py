"""The callers, and each caller's share of the daemon's time and threads."""
