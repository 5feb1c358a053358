"""The event loop that decides, the thread that commits, and what watches over both."""
