"""Verbs that work in running jobs: their terminals, and further commands."""
