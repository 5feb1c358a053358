"""The world after a restart, from a backup, or from Docker's containers."""
