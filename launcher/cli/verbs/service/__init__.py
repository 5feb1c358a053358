"""Verbs about the daemon: run it, watch it, back it up, check the machine."""
