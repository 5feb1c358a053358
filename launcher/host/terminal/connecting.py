"""The daemon's connections to the terminals of host jobs."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from launcher.listening import bound, own_directory, short

WRITE, WATCH, SIZE = b"w", b"r", b"s"
"""What a connection is for: its first byte. WRITE takes over from an earlier connection.

After SIZE come rows and columns (``SIZE_FORMAT``).
"""
SIZE_FORMAT = struct.Struct("=HH")
SECONDS = 5.0
_SUFFIX = ".sock"


def words(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that run a command in a terminal of its own, served on its stdin."""
    return (sys.executable, "-P", "-m", "launcher.host.terminal.server", "--", *command)


class TerminalSockets:
    """The sockets of host jobs' terminals, in a directory that only the daemon's user can enter.

    The daemon makes a socket before the job starts, and the job inherits it. So no other user can
    take its place, and no other user can connect to it. Names are those of attempts. All methods
    raise ``OSError``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[socket.socket]:
        """Yield the listening socket for a job that is about to start; it is closed here."""
        own_directory(self._directory, 0o700)
        with bound(self._path(name), 0o600) as listener:
            yield listener

    def connect(self, name: str, purpose: bytes) -> socket.socket:
        """Return a connection to a job's terminal."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)  # a job whose queue is full delays no other one
            with short(self._directory) as place:
                connection.connect(f"{place}/{name}{_SUFFIX}")
            connection.settimeout(SECONDS)
            connection.sendall(purpose)
        except BaseException:
            connection.close()
            raise
        return connection

    def resize(self, name: str, rows: int, columns: int) -> None:
        """Set the size of a job's terminal; what is typed after this comes after it."""
        with self.connect(name, SIZE + SIZE_FORMAT.pack(rows, columns)) as connection:
            connection.recv(1)  # it is closed once the size is set

    def remove(self, name: str) -> None:
        """Remove the socket of a job that has ended."""
        self._path(name).unlink(missing_ok=True)

    def sweep(self, live: Callable[[], Collection[str]]) -> None:
        """Remove the sockets of all jobs that are not live; a job is live before its socket."""
        paths = list(self._directory.glob(f"*{_SUFFIX}"))
        names = live()
        for path in paths:
            if path.name.removesuffix(_SUFFIX) not in names:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / (name + _SUFFIX)
