"""Completion in bash, zsh and fish: the scripts, and values that the daemon knows."""

PROGRAM, VARIABLE = "launch", "_LAUNCH_COMPLETE"
"""The variable in which a script says what it asks for (click, "Shell Completion")."""
