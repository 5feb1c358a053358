"""Completion in bash, zsh and fish: the scripts, and values that the daemon knows."""
