"""What all parts of the client share: the socket, and one exchange with the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.client.http import Transport, quote
from launcher.client.sockets import socket_candidates

RECONNECT_SECONDS = 60.0

Ref = int | str


class ClientBase:
    """A connection to the daemon; without requests of its own."""

    def __init__(
        self,
        socket: str | None = None,
        timeout: float = 30,
        *,
        notice: Callable[[str], None] | None = None,
        reconnect: float = RECONNECT_SECONDS,
    ) -> None:
        self.timeout = timeout
        self.reconnect = reconnect
        self.wakeup: int | None = None
        """For programs that handle signals while they follow: see ``HttpConnection.patient``."""
        self._transport = Transport([socket] if socket else socket_candidates(), notice)

    @property
    def socket(self) -> str | None:
        """The socket that answered; None before the first reply."""
        return self._transport.socket

    @property
    def daemon_version(self) -> str | None:
        """The daemon's version; None before the first reply."""
        return self._transport.daemon_version

    def notice(self, text: str) -> None:
        """Report a message that is not an error to the client's ``notice``."""
        self._transport.notice(text)

    def _get(self, path: str) -> Any:
        return self._transport.json("GET", path, timeout=self.timeout)

    def _post(self, path: str, body: Any = None) -> Any:
        return self._transport.json("POST", path, body, timeout=self.timeout)


def job_path(ref: Ref) -> str:
    """Return the path of a job's requests."""
    return f"/v1/jobs/{quote(str(ref))}"
