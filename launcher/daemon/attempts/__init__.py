"""Attempts: starts them, follows them until they end, decides which exit codes to trust."""
