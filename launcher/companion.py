"""A process beside the daemon: asked over a socket of packets, and started if none is there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.listening import short

SECONDS = 10.0
"""A process that does not reply within this time counts as gone."""
MOST_MESSAGE_BYTES = 1 << 16
_MOST_LOG_BYTES = 1 << 20


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
        self._directory, self._name, self._systemd_socket = directory, name, systemd_socket
        self._command = (sys.executable, "-P", "-m", module)
        self._words = words
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def request(self, request: dict[str, Any], *files: int) -> dict[str, Any]:
        """Return the reply to one request, to which files may be passed; raises ``OSError``."""
        for again in (True, False):
            with self.connect() as connection:
                socket.send_fds(connection, [json.dumps(request).encode()], files)
                data = connection.recv(MOST_MESSAGE_BYTES)
            if data:
                break
            if not again:
                raise ConnectionResetError(f"{self._name} ended before it replied")
        reply: dict[str, Any] = json.loads(data)
        if error := reply.get("error"):
            raise OSError(f"the process for {self._name}: {error}")
        return reply

    def connect(self) -> socket.socket:
        """Return a connection; starts the process if it is the daemon's own and missing."""
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
                with short(self._directory) as place:
                    connection.connect(f"{place}/{self._name}.sock")
        except BaseException:
            connection.close()
            raise
        return connection

    def _start(self) -> None:
        """Start it in its own session, so that it survives the daemon."""
        if self._process is not None:
            self._process.poll()
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            short(self._directory) as place,
            self._log_file() as errors,
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{place}/{self._name}.sock")  # noqa: PTH108
            listener.bind(f"{place}/{self._name}.sock")
            listener.listen()
            fd = listener.fileno()
            self._process = subprocess.Popen(
                [*self._command, "--listener", str(fd), *self._words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(fd,),
                start_new_session=True,
                cwd="/",
            )

    @contextlib.contextmanager
    def _log_file(self) -> Iterator[int]:
        path = self._directory / f"{self._name}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            if os.fstat(fd).st_size > _MOST_LOG_BYTES:
                os.ftruncate(fd, 0)
            yield fd
        finally:
            os.close(fd)
