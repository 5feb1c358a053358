"""Thin, synchronous, standard-library HTTP over the daemon's unix socket: the Python API.

May import ``launcher.wire`` and ``launcher.errors``. Knows no YAML, no Docker, no terminal.
"""

from __future__ import annotations

from launcher.client.api import Client
from launcher.client.sockets import socket_candidates

__all__ = ["Client", "socket_candidates"]
