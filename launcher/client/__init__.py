"""The Python API: a thin, standard-library HTTP client of the daemon's unix socket.

May import ``launcher.wire`` and ``launcher.errors``. Handles no YAML, Docker or terminal.
``handles/`` has jobs as objects, ``aio/`` the asyncio twin; neither is loaded before it is used.
"""

from __future__ import annotations

from launcher.client.api import Client
from launcher.client.sockets import socket_candidates

__all__ = ["Client", "socket_candidates"]
