"""From flags and arguments to requests. Must not print."""
