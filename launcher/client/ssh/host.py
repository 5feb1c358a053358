"""A daemon's machine, reached by ssh: one connection, renewed when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

from launcher.client.ssh import failures
from launcher.client.ssh.address import parse_ssh
from launcher.client.ssh.tunnel import Tunnel
from launcher.errors import LauncherError


class SshHost:
    """The machine of one client. Nothing is connected before the first request."""

    limit_s: float | None = None
    """If set, a connection must be ready within so many seconds, and ssh asks nothing."""

    def __init__(self, url: str, notice: Callable[[str], None]) -> None:
        self.url = url
        self.notice = notice
        """Receives what ssh says while it waits for the user."""
        self._address = parse_ssh(url)
        self._lock = threading.Lock()
        self._tunnel: Tunnel | None = None
        self._was_connected = False

    def path(self) -> str:
        """Return the local path of the daemon's socket; connects if needed."""
        tunnel = self._tunnel
        return self.renewed(None) if tunnel is None else tunnel.path

    def renewed(self, dead: str | None) -> str:
        """Return a new local path in the place of one that cannot be connected to.

        Raises ``SshLost``, which is worth another attempt, or ``SshRefused``.
        """
        with self._lock:
            if self._tunnel is not None:
                if self._tunnel.path != dead:
                    return self._tunnel.path
                self._tunnel.close()
                self._tunnel = None
            self._tunnel = Tunnel(
                self._address,
                again=self._was_connected,
                limit_s=self.limit_s,
                notice=self.notice,
            )
            self._was_connected = True
            return self._tunnel.path

    def account(self) -> tuple[str, str]:
        """Return the user's name and home directory on the machine."""
        self.path()
        assert self._tunnel is not None
        report = self._tunnel.report()
        return report.user, report.home

    def no_reply(self) -> LauncherError | None:
        """Return the error of a first connection that was closed without a reply.

        None if ssh has not said that it could not connect to the socket.
        """
        tunnel = self._tunnel
        if tunnel is None or not tunnel.is_refused():
            return None
        return failures.no_reply(self._address, tunnel.remote)

    def lost(self) -> LauncherError:
        """Return the error of a local socket that cannot be connected to."""
        return failures.SshLost(f"the connection to {self.url} was lost")

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            if self._tunnel is not None:
                self._tunnel.close()
                self._tunnel = None
