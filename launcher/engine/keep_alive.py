"""docker-py over connections that are kept; imported with docker, so when Docker is first asked."""

from __future__ import annotations

from typing import Any

from docker.transport import UnixHTTPAdapter


class KeepAliveAdapter(UnixHTTPAdapter):
    """Uses one pool for a socket.

    docker-py's own makes a pool for each URL (docker 7.2, transport/unixconn.py): a call about
    another container then connects anew, and the connections of earlier ones stay open.
    """

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
        """Return the pool of the socket, whatever the URL."""
        return super().get_connection("http+docker://localhost", proxies)
