"""What the user sees: tables, JSON, text safe for terminals, exit codes. Never asks the daemon."""
