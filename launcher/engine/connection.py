"""One docker-py client per thread: an APIClient is a requests session, which is not thread-safe."""

from __future__ import annotations

import threading
from typing import Any

from launcher.engine.outcome import mapped
from launcher.errors import ConfigError

CALL_TIMEOUT = 60.0
DEFAULT_HOST = "unix:///var/run/docker.sock"


def check_host(host: str) -> str:
    """Return a DOCKER_HOST that is a local socket; raise ``ConfigError`` for any other.

    Slices are of this machine: a remote engine would start the containers elsewhere.
    """
    if not host.startswith("unix://"):
        raise ConfigError(
            f"DOCKER_HOST is {host!r}, which is not a unix socket of this machine",
            fix="Use unix:///path/to/docker.sock.",
        )
    return host


class Connection:
    """Clients for one engine, made when first used and negotiated once."""

    def __init__(self, host: str) -> None:
        self.host = check_host(host)
        self._local = threading.local()
        self._version: str | None = None

    def api(self) -> Any:
        """Return this thread's APIClient; raises ``EngineUnavailable`` while Docker is away."""
        client = getattr(self._local, "client", None)
        if client is None:
            from docker import APIClient

            with mapped(self.host):
                client = APIClient(
                    base_url=self.host, version=self._version or "auto", timeout=int(CALL_TIMEOUT)
                )
            self._version = client.api_version
            self._local.client = client
        return client

    def renegotiate(self) -> None:
        """Forget the agreed API version: the engine may have been upgraded."""
        self._version = None
        self._local = threading.local()

    def url(self, path: str) -> str:
        """Return the URL of an API path for calls that docker-py has no method for."""
        api = self.api()
        return f"{api.base_url}/v{api.api_version}{path}"

    def version(self) -> dict[str, Any]:
        """Return Docker's own GET /version."""
        api = self.api()
        with mapped(self.host):
            found: dict[str, Any] = api.version(api_version=False)
        return found

    def info(self) -> dict[str, Any]:
        """Return Docker's own GET /info."""
        api = self.api()
        with mapped(self.host):
            found: dict[str, Any] = api.info()
        return found
