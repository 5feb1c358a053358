"""The event loop that decides, the thread that commits, and the monitoring of both."""
