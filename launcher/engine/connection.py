"""The docker-py clients of one engine."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

from launcher.engine.outcome import mapped
from launcher.errors import ConfigError

CALL_TIMEOUT = 60.0


def check_host(host: str) -> str:
    """Return a DOCKER_HOST that is a local socket; raise ``ConfigError`` for any other.

    Slices belong to this machine: a remote engine would start the containers elsewhere.
    """
    if not host.startswith("unix://"):
        raise ConfigError(
            f"DOCKER_HOST is {host!r}, which is not a unix socket on this machine",
            fix="Use unix:///path/to/docker.sock.",
        )
    return host


def _api_error() -> type[Exception]:
    from docker.errors import APIError

    error: type[Exception] = APIError
    return error


def _adapter(socket_path: str, timeout: float) -> Any:
    """Return docker-py's adapter of a socket with one pool of connections.

    Its own makes a pool for each URL (docker 7.2, transport/unixconn.py): a call about another
    container then connects anew, and earlier connections stay open.
    """
    from docker.transport import UnixHTTPAdapter

    class KeepAliveAdapter(UnixHTTPAdapter):
        def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
            return super().get_connection("http+docker://localhost", proxies)

    return KeepAliveAdapter(socket_path, math.ceil(timeout))


class DockerConnection:
    """Clients of one engine: created on first use, negotiated once, lent to one caller at a time.

    An APIClient is a requests session: not thread-safe, and more costly to create than a call.
    """

    def __init__(self, host: str, timeout: float = CALL_TIMEOUT) -> None:
        """``timeout``: a call without data for this many seconds counts as lost."""
        self.host = check_host(host)
        self.timeout = timeout
        self._idle: deque[Any] = deque()
        self._version: str | None = None

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Any]:
        """Yield an APIClient for one call or one stream, and map its exceptions.

        Raises ``EngineUnavailable``, ``Refused`` or ``Unknown`` (``outcome``). A client whose call
        broke off is not reused.
        """
        with mapped(self.host):
            try:
                client = self._idle.pop()
            except IndexError:
                client = self.api()
            try:
                yield client
            except _api_error():
                self._idle.append(client)
                raise
            except BaseException:
                client.close()
                raise
            self._idle.append(client)

    def api(self) -> Any:
        """Return a new APIClient for the caller; raises while Docker is unreachable."""
        from docker import APIClient

        with mapped(self.host):
            client = APIClient(
                base_url=self.host, version=self._version or "auto", timeout=math.ceil(self.timeout)
            )
        client.get_adapter(client.base_url).close()
        client.mount(client.base_url, _adapter(self.host.removeprefix("unix://"), client.timeout))
        # A unix socket needs no proxy or netrc; looking them up costs time at every call.
        client.trust_env = False
        self._version = client.api_version
        return client

    def drop_idle(self) -> None:
        """Close the clients that are not in use: they may be connected to an earlier dockerd."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    @staticmethod
    def url(api: Any, path: str) -> str:
        """Return the URL of an API path that docker-py has no method for."""
        return f"{api.base_url}/v{api.api_version}{path}"

    def version(self) -> dict[str, Any]:
        """Return GET /version."""
        with self.borrow() as api:
            result: dict[str, Any] = api.version(api_version=False)
        return result

    def info(self) -> dict[str, Any]:
        """Return GET /info."""
        with self.borrow() as api:
            result: dict[str, Any] = api.info()
        return result
