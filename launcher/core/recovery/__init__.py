"""The world after a restart, from a backup, or from what Docker still shows."""
