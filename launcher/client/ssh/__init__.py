"""A daemon on another machine: its socket, forwarded by the user's own ``ssh`` program.

Loaded only for an ``ssh://`` address. Opens no port; never reads keys or passwords.
"""
