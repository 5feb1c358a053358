"""Recovery mode, rebuilding and restoring the database, and the saved layout after a reboot."""
