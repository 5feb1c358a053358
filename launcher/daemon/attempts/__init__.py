"""Attempts: starts them, follows them until they end, decides which ends can be believed."""
