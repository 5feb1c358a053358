"""The daemon's client of the output keeper, safe in any thread. It starts a missing keeper."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.output.keeper import MOST_MESSAGE_BYTES
from launcher.output.log_file import Limit

log = logging.getLogger(__name__)

SECONDS = 10.0
"""A keeper that does not reply within this time counts as gone."""
_KEEPER = (sys.executable, "-P", "-m", "launcher.output")
_NAME = "output.sock"
_LOG_NAME = "output.log"
_MOST_LOG_BYTES = 1 << 20


class OutputKeeper:
    """A keeper on the socket of its systemd unit, or one of this daemon in ``directory``.

    Every method raises ``OSError`` if the keeper cannot be reached.
    """

    def __init__(self, directory: Path, systemd_socket: str | None = None) -> None:
        self._directory, self._systemd_socket = directory, systemd_socket
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def store(self, path: Path, token: str, limit: Limit, *files: int, raw: bool = False) -> None:
        """Read an attached socket, or two pipes, into a log file until they end.

        ``raw``: the socket is that of a container with a terminal.
        """
        request: dict[str, Any] = {"do": "keep", "path": str(path), "token": token, "raw": raw}
        request |= {"limit": limit.bytes, "why": limit.why}
        self._request(request, *files)

    def forget(self, path: Path) -> None:
        """Make the keeper stop reading an output and forget it."""
        self._request({"do": "forget", "path": str(path)})

    def hold_console(self, path: Path, uid: int, stream: int) -> None:
        """Hold the stream with the input of an attempt's container, for the clients to come.

        ``path`` is that of its log; ``uid`` is charged.
        """
        self._request({"do": "console", "path": str(path), "uid": uid}, stream)

    def join_console(self, path: Path, head: str, client: int, *, take: bool) -> str:
        """Attach a client's connection to a console; it gets ``head``, then the stream.

        Returns "joined", "busy" if another client writes, "none" if there is no console. With
        ``take`` the other client is parted from it.
        """
        request = {"do": "join", "path": str(path), "head": head, "take": take}
        return str(self._request(request, client)["state"])

    def relay(
        self, path: Path, uid: int, head: str, stream: int, client: int, *, sends: bool
    ) -> None:
        """Relay between a stream of Docker's and a client, which may write if it ``sends``."""
        request = {"do": "relay", "path": str(path), "uid": uid, "head": head, "sends": sends}
        self._request(request, stream, client)

    def sessions(self) -> dict[str, tuple[bool, int, float]]:
        """Return by log file of an attempt with a console: whether somebody writes, the number of
        clients, and the seconds since the last activity."""
        each = self._request({"do": "sessions"})["sessions"]
        return {path: (bool(writes), clients, idle) for path, writes, clients, idle in each}

    def watch(self) -> Iterator[dict[str, Any]]:
        """Yield the keeper's version and number of outputs; then each that grew or ended.

        Existing outputs come first. Ends, or raises ``OSError``, when the keeper is gone.
        """
        with self._connect() as connection:
            connection.send(json.dumps({"do": "watch"}).encode())
            connection.settimeout(None)
            while message := connection.recv(MOST_MESSAGE_BYTES):
                yield json.loads(message)

    def _request(self, request: dict[str, Any], *files: int) -> dict[str, Any]:
        for again in (True, False):
            with self._connect() as connection:
                socket.send_fds(connection, [json.dumps(request).encode()], files)
                data = connection.recv(MOST_MESSAGE_BYTES)
            if data:
                break
            if not again:
                raise ConnectionResetError("the output keeper ended before it replied")
        reply: dict[str, Any] = json.loads(data)
        if error := reply.get("error"):
            raise OSError(f"the output keeper: {error}")
        return reply

    def _connect(self) -> socket.socket:
        with self._starting:
            try:
                return self._connected()
            except (FileNotFoundError, ConnectionRefusedError):
                if self._systemd_socket is not None:
                    raise
                self._start()
                return self._connected()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(SECONDS)
            if self._systemd_socket is not None:
                connection.connect(self._systemd_socket)
            else:
                with _short(self._directory) as place:
                    connection.connect(f"{place}/{_NAME}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _start(self) -> None:
        """Start a keeper in its own session, so that it survives the daemon."""
        if self._process is not None:
            self._process.poll()
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            _short(self._directory) as place,
            self._log_file() as errors,
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{place}/{_NAME}")  # noqa: PTH108
            listener.bind(f"{place}/{_NAME}")
            listener.listen()
            fd = listener.fileno()
            self._process = subprocess.Popen(
                [*_KEEPER, "--listener", str(fd)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(fd,),
                start_new_session=True,
                cwd="/",
            )

    @contextlib.contextmanager
    def _log_file(self) -> Iterator[int]:
        path = self._directory / _LOG_NAME
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            if os.fstat(fd).st_size > _MOST_LOG_BYTES:
                os.ftruncate(fd, 0)
            yield fd
        finally:
            os.close(fd)


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """Yield a path to a directory that fits into a socket address (108 bytes, unix(7))."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
