"""Notifies systemd of the daemon's state: one datagram per message (sd_notify(3)).

Implemented here because the protocol is small: sdnotify has not been maintained since 2017, and
systemd-python and cysystemd are built against libsystemd.
"""

from __future__ import annotations

import array
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Sends to NOTIFY_SOCKET; does nothing if it is not set."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._path = environment.get("NOTIFY_SOCKET") or None
        self.watchdog_seconds = _watchdog(environment) if self._path else None
        """The watchdog's timeout; None if there is none."""
        self._status: str | None = None

    @property
    def listening(self) -> bool:
        """Whether a socket is set."""
        return self._path is not None

    def ready(self) -> None:
        """Report that requests are served and the records match the running jobs."""
        self._send("READY=1")

    def still_starting(self, seconds: float) -> None:
        """Request this many more seconds before the start counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Report the state in one line, if it has changed."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def store(self, name: str, fd: int) -> None:
        """Make systemd keep a file descriptor for the next start of the service."""
        # FDPOLL=0: otherwise systemd drops a descriptor that hangs up, which is when it matters.
        self._send(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", fd)

    def unstore(self, name: str) -> None:
        """Make systemd close a file descriptor that it keeps."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, message: str, *files: int) -> None:
        if self._path is None:
            return
        # A name in the abstract namespace is written with @ (unix(7)).
        address = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
                # Not socket.send_fds: it leaves the address out (Python 3.11).
                out.sendmsg([message.encode()], [rights] if files else [], 0, address)
        except OSError as error:
            log.debug("could not send %s to systemd: %s", message, error)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's timeout in seconds, if it is for this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    micros = environment.get("WATCHDOG_USEC", "")
    return int(micros) / 1e6 if micros.isdecimal() and int(micros) > 0 else None
