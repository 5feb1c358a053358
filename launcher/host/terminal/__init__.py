"""The terminal of a host job in the background: a program of the job's own, run as its user.

It is the job's main process. It gives the command a terminal, writes to its own stdout what the
command prints, and serves the daemon at a socket that the daemon made and passed as its stdin: to
write, to watch, and to set the size.
``server`` is that program, ``connecting`` the daemon's side. Standard library only.
"""
