"""The daemon's client of the output keeper, safe in any thread. It starts a missing keeper."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.companion import MOST_MESSAGE_BYTES, Companion
from launcher.output.log_file import Limit
from launcher.output.relay import is_gone


class OutputKeeper:
    """A keeper on the socket of its systemd unit, or one of this daemon in ``directory``.

    Every method raises ``OSError`` if the keeper cannot be reached.
    """

    def __init__(self, directory: Path, systemd_socket: str | None = None) -> None:
        self._companion = Companion(directory, "output", "launcher.output", systemd_socket)
        self._request, self._connect = self._companion.request, self._companion.connect
        self._consoles: dict[Path, socket.socket] = {}
        """The streams of consoles, held open here too: when the last holder closes one that is no
        terminal's, Docker ends the job's input, and the job takes what came for all of it."""

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

    def hold_console(
        self, path: Path, uid: int, stream: int, *, waits: bool = False, keeps: bool = True
    ) -> None:
        """Hold the stream with the input of an attempt, for the clients to come.

        ``path`` is that of its log; ``uid`` is charged. If it ``waits``, the output of a job that
        has not started yet is held back a little for a first client. If this client ``keeps`` the
        stream too, it stays open when the keeper dies.
        """
        self.drop_console(path)
        if keeps:
            self._consoles[path] = socket.socket(fileno=os.dup(stream))
        request = {"do": "console", "path": str(path), "uid": uid, "waits": waits}
        self._request(request, stream)

    def hold_again(self, path: Path, uid: int) -> bool:
        """Hold a console that an earlier keeper had; False if its stream is not there any more."""
        stream = self._consoles.get(path)
        if stream is None or is_gone(stream):
            return False
        self._request({"do": "console", "path": str(path), "uid": uid}, stream.fileno())
        return True

    def drop_console(self, path: Path) -> None:
        """Close the stream of a console here: its container has ended, or has another one."""
        if (stream := self._consoles.pop(path, None)) is not None:
            stream.close()

    def join_console(self, path: Path, head: str, client: int, *, take: bool) -> str:
        """Attach a client's connection to a console; it gets ``head``, then the stream.

        Returns "joined", "busy" if another client writes, "none" if there is no console. With
        ``take`` the other client is parted from it.
        """
        request = {"do": "join", "path": str(path), "head": head, "take": take}
        return str(self._request(request, client)["state"])

    def must_have_room(self, uid: int) -> None:
        """Raise ``OSError`` if another relay of a user would be refused."""
        self._request({"do": "room", "uid": uid})

    def relay(
        self,
        path: Path,
        uid: int,
        head: str,
        stream: int,
        client: int,
        *,
        sends: bool,
        framed: bool = False,
    ) -> None:
        """Relay between a stream of Docker's and a client, which may write if it ``sends``.

        ``framed``: the stream is in Docker's frames, of which a slow client misses whole ones.
        """
        request = {"do": "relay", "path": str(path), "uid": uid, "head": head, "sends": sends}
        self._request(request | {"framed": framed}, stream, client)

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
