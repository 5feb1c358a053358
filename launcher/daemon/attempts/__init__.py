"""Starts attempts, follows them until they end, and decides which exit codes to trust."""
