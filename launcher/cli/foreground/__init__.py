"""A job in the foreground: follows it, passes output and signals on, ends with its exit code."""
