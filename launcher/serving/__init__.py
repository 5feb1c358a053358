"""What the daemon's API and ``launch web`` share as servers of HTTP: connections with a time limit.

The standard library and aiohttp; imports no room.
"""
