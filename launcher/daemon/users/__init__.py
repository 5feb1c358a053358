"""Who the callers are, and what each may use of the daemon's time and threads."""
