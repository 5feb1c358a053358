"""What all parts of the client share: the socket, and one exchange with the daemon."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from launcher.client.http import Transport, quote
from launcher.client.sockets import place_of
from launcher.errors import UserError

if TYPE_CHECKING:
    from launcher.client.ssh.host import SshHost

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
        role: str | None = None,
    ) -> None:
        self.timeout = timeout
        self.reconnect = reconnect
        self.wakeup: int | None = None
        """For programs that handle signals while they follow: see ``HttpConnection.patient``."""
        place = place_of(socket)
        self._transport = Transport(place.sockets, notice, ssh=place.ssh, role=role)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the ssh connection, if there is one; the next request makes a new one."""
        self._transport.close()

    def as_session(self, session: str) -> Self:
        """Return a client that asks for the user of a session of the pages of ``launch web``.

        The daemon admits that from the user of ``launch web`` alone.
        """
        from launcher.wire import SESSION_HEADER

        result = copy.copy(self)
        result._transport = self._transport.with_headers({SESSION_HEADER: session})
        return result

    @property
    def ssh_host(self) -> SshHost | None:
        """The machine that ssh connects to; None if the daemon is on this one."""
        return self._transport.host

    @property
    def socket(self) -> str | None:
        """The local path of the socket that answered; None before the first reply."""
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
    """Return the path of a job's requests; raises ``UserError`` for an empty reference."""
    if ref == "":
        raise UserError("the reference to a job is empty", fix="Write its id, its name or `last`.")
    return f"/v1/jobs/{quote(str(ref))}"
