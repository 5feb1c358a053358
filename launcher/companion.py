"""Processes beside the daemon: asked over a socket of packets, and started if none is there.

Requests and replies are JSON objects, one per message (SOCK_SEQPACKET); files may be passed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.listening import bound, short

SECONDS = 10.0
"""A process that does not reply within this time counts as gone."""
MOST_MESSAGE_BYTES = 1 << 16
_MOST_LOG_BYTES = 1 << 20


class CompanionSocket:
    """The socket that a process listens on. Safe in any thread."""

    def __init__(self, path: Path, seconds: float, start: Callable[[], None] | None) -> None:
        """``start`` starts a missing process; None if systemd does."""
        self._path, self._seconds, self._start = path, seconds, start
        self._starting = threading.Lock()

    def connect(self) -> socket.socket:
        """Return a connection with a time limit for each step; raises ``OSError``."""
        with self._starting:
            try:
                return self._connected()
            except (FileNotFoundError, ConnectionRefusedError):
                if self._start is None:
                    raise
                self._start()
                return self._connected()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(self._seconds)
            with short(self._path.parent) as place:
                connection.connect(f"{place}/{self._path.name}")
        except BaseException:
            connection.close()
            raise
        return connection


class Companion:
    """One on the socket of its systemd unit, or one of this daemon in ``directory``.

    It is ``python -m module``; ``name`` names its socket and its log in the directory, ``words``
    are more words of its command. Safe in any thread.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        module: str,
        systemd_socket: str | None = None,
        words: tuple[str, ...] = (),
    ) -> None:
        self._directory, self._name = directory, name
        self._module, self._words = module, words
        self._process: subprocess.Popen[bytes] | None = None
        self._sender = f"the process for {name}"
        if systemd_socket is None:
            self._socket = CompanionSocket(directory / f"{name}.sock", SECONDS, self._start)
            self._sender += f" (its log is {self._log})"
        else:
            self._socket = CompanionSocket(Path(systemd_socket), SECONDS, None)

    def request(self, request: Mapping[str, Any], *files: int) -> dict[str, Any]:
        """Return the reply to one request, to which files may be passed; raises ``OSError``."""
        try:
            reply = self._reply(request, files)
        except ConnectionResetError:  # it ended as it became idle
            reply = self._reply(request, files)
        if error := reply.get("error"):
            raise OSError(f"the process for {self._name}: {error}")
        return reply

    def connect(self) -> socket.socket:
        """Return a connection; starts the process if it is the daemon's own and missing."""
        return self._socket.connect()

    @property
    def _log(self) -> Path:
        return self._directory / f"{self._name}.log"

    def _reply(self, request: Mapping[str, Any], files: Sequence[int]) -> dict[str, Any]:
        with self.connect() as connection:
            send(connection, request, *files)
            return receive(connection, self._sender)[0]

    def _start(self) -> None:
        if self._process is not None:
            self._process.poll()
        with bound(
            self._directory / f"{self._name}.sock", 0o600, socket.SOCK_SEQPACKET
        ) as listener:
            words = ["--listener", str(listener.fileno()), *self._words]
            self._process = start(self._module, words, [listener], self._log)


def send(connection: socket.socket, request: Mapping[str, Any], *files: int) -> None:
    """Send a request; raises ``OSError``."""
    socket.send_fds(connection, [json.dumps(request).encode()], files)


def receive(
    connection: socket.socket, sender: str, most_files: int = 0
) -> tuple[dict[str, Any], list[int]]:
    """Return the next message, and the files with it for the caller to close.

    Raises ``TimeoutError``, another ``OSError``, or ``ConnectionResetError`` if ``sender`` ended.
    """
    data, files, _, _ = socket.recv_fds(connection, MOST_MESSAGE_BYTES, most_files)
    if not data:
        raise ConnectionResetError(f"{sender} ended before it replied")
    message: dict[str, Any] = json.loads(data)
    return message, files


def start(
    module: str, words: Sequence[str], listeners: Sequence[socket.socket], log: Path
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` in its own session, so that it survives the daemon."""
    with _log_file(log) as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[listener.fileno() for listener in listeners],
            start_new_session=True,
            cwd="/",
        )


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[int]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        if os.fstat(fd).st_size > _MOST_LOG_BYTES:
            os.ftruncate(fd, 0)
        yield fd
    finally:
        os.close(fd)
