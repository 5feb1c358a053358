"""Loads a user's image archive into Docker, in a process of its own.

The process reads the archive from stdin, rewrites it without names (``archive``), sends it to
Docker as it goes (``docker_load``), and prints what came of it. A user's archive may be of any size
and content: the daemon only passes its bytes on.
"""
