"""Handlers of requests about the future: why a job waits, when jobs start, what would happen."""
