"""The output keeper: a process that reads jobs' output and writes the log files.

Output survives a restarted or blocked daemon, because this process keeps reading. The daemon
attaches to a container and passes the socket here, or the pipes of a host job, so the keeper needs
only the right to write log files. It decides nothing: watchers learn what was stored and how each
output ended.

Requests and replies are JSON objects, one per message (SOCK_SEQPACKET). There is one thread, and it
blocks only on the disk.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import __version__
from launcher.companion import MOST_MESSAGE_BYTES
from launcher.listening import Acceptor
from launcher.output.log_file import LogWriter
from launcher.output.sessions import Sessions
from launcher.output.sources import Source, taken_over

log = logging.getLogger(__name__)

MOST_FILES = 2
MOST_CLIENTS = 512
MOST_ENDED = 10_000
"""This many ended outputs are remembered; for older ones the daemon reads Docker's own log."""
NOTIFY_INTERVAL_S = 0.01
"""Watchers are notified of growth at most once in this time."""
IDLE_SECONDS = 5.0
LONGEST_PATIENCE_SECONDS = 3600.0


@dataclass(slots=True)
class KeptOutput:
    """One output: ``whole`` is None while it is read, then whether it was read to its end.

    ``fds`` are the descriptors of its source that are still read.
    """

    path: str
    token: str
    source: Source | None
    fds: set[int]
    broke_off: bool = False
    whole: bool | None = None
    ended_ns: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as watchers receive it."""
        return {
            "path": self.path,
            "token": self.token,
            "whole": self.whole,
            "ended_ns": self.ended_ns,
        }


class DaemonConnection:
    """A connection of the daemon: sends requests, and after ``watch`` receives news."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.watches = False
        self.news: dict[str, bool] = {}
        """Paths that grew or ended and are not reported yet, at most one entry each."""


class Keeper:
    """Serves the connections of one listening socket until it is idle."""

    def __init__(self, listener: socket.socket, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._selector = selectors.DefaultSelector()
        self._outputs: dict[str, KeptOutput] = {}
        self._acceptor = Acceptor(listener, self._watch_listener(listener), log.warning)
        self._clients: set[DaemonConnection] = set()
        self._sessions = Sessions(self._selector)
        self._reading = 0
        self._notified_at = 0.0
        self._quiet_since = time.monotonic()

    def serve(self) -> None:
        """Serve until no output is read and no daemon is connected for ``idle_seconds``."""
        while not self._is_idle():
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._sessions.release()
            self._acceptor.resume_if_due()
            self._notify()

    def _is_idle(self) -> bool:
        if self._reading or self._clients or self._sessions:
            self._quiet_since = time.monotonic()
        return time.monotonic() - self._quiet_since > self._idle_seconds

    def _patience(self) -> float:
        if any(client.news for client in self._clients):
            return max(0.0, self._notified_at + NOTIFY_INTERVAL_S - time.monotonic())
        held = self._sessions.patience()
        longest = LONGEST_PATIENCE_SECONDS if held is None else held
        paused = self._acceptor.patience()
        return min(self._idle_seconds, longest, longest if paused is None else paused)

    def _watch_listener(self, listener: socket.socket) -> Callable[[bool], None]:
        def watch(on: bool) -> None:
            if on:
                self._selector.register(listener, selectors.EVENT_READ, self._accept)
            else:
                self._selector.unregister(listener)

        return watch

    def _accept(self) -> None:
        connection = self._acceptor.accept()
        if connection is None:
            return
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        client = DaemonConnection(connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._answer(client))

    def _answer(self, client: DaemonConnection) -> None:
        try:
            data, files, _, _ = socket.recv_fds(client.connection, MOST_MESSAGE_BYTES, MOST_FILES)
        except BlockingIOError:
            return
        except OSError:
            data, files = b"", []
        try:
            if data:
                self._send(client, self._reply(client, data, files))
            else:
                self._leave(client)
        finally:
            for fd in files:
                os.close(fd)

    def _reply(self, client: DaemonConnection, data: bytes, files: list[int]) -> dict[str, Any]:
        try:
            return self._do(client, json.loads(data), files)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a request failed: %s", error)
            return {"error": str(error)}

    def _do(
        self, client: DaemonConnection, request: dict[str, Any], files: list[int]
    ) -> dict[str, Any]:
        do: Callable[[], dict[str, Any]] = {
            "keep": lambda: self._store(request, files),
            "watch": lambda: self._watch(client),
            "forget": lambda: self._forget(request["path"]),
            "console": lambda: self._sessions.console(request, files),
            "join": lambda: self._sessions.join(request, files),
            "relay": lambda: self._sessions.relay(request, files),
            "room": lambda: self._sessions.room(request),
            "sessions": self._sessions.report,
        }[request["do"]]
        return do()

    def _store(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Read an attached socket or two pipes; an output is never read twice."""
        path = str(request["path"])
        if path in self._outputs:
            return {"error": "this output is kept already"}
        why, limit = str(request.get("why", "")), int(request["limit"])
        raw = bool(request.get("raw"))
        source = taken_over(files, lambda: LogWriter(Path(path), limit, why, wait=False), raw=raw)
        output = self._outputs[path] = KeptOutput(
            path, str(request["token"]), source, set(source.fds())
        )
        self._reading += 1
        for fd in output.fds:
            self._selector.register(fd, selectors.EVENT_READ, self._mover(output, fd))
        return {}

    def _watch(self, client: DaemonConnection) -> dict[str, Any]:
        client.watches = True
        client.news = dict.fromkeys(self._outputs, True)
        return {"version": __version__, "kept": len(self._outputs)}

    def _forget(self, path: str) -> dict[str, Any]:
        """Stop reading an output and forget it."""
        output = self._outputs.pop(path, None)
        if output is not None:
            self._close(output, whole=False)
        return {}

    def _close(self, output: KeptOutput, *, whole: bool) -> None:
        if output.source is not None:
            for fd in output.fds:
                self._selector.unregister(fd)
            output.fds.clear()
            output.source.close()
            output.source, output.whole, output.ended_ns = None, whole, time.time_ns()
            self._reading -= 1

    def _mover(self, output: KeptOutput, fd: int) -> Callable[[], None]:
        def move() -> None:
            if output.source is None or fd not in output.fds:
                return  # it was forgotten after the selector returned
            whole = output.source.read(fd)
            if whole is not None:
                self._end_of(output, fd, whole=whole)
            for client in self._clients:
                if client.watches:
                    client.news[output.path] = True

        return move

    def _end_of(self, output: KeptOutput, fd: int, *, whole: bool) -> None:
        """Stop reading one file of an output; after the last one the output has ended."""
        self._selector.unregister(fd)
        output.fds.discard(fd)
        output.broke_off = output.broke_off or not whole
        if not output.fds:
            self._close(output, whole=not output.broke_off)
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        if len(self._outputs) - self._reading > MOST_ENDED:
            ended = (path for path, output in self._outputs.items() if output.source is None)
            del self._outputs[next(ended)]

    def _notify(self) -> None:
        """Send watchers what grew or ended; a watcher that does not read gets it later."""
        now = time.monotonic()
        if now < self._notified_at + NOTIFY_INTERVAL_S:
            return
        for client in list(self._clients):
            while client.news:
                path = next(iter(client.news))
                output = self._outputs.get(path)
                self._notified_at = now
                if output is not None and not self._send(client, output.as_json()):
                    break
                client.news.pop(path, None)

    def _send(self, client: DaemonConnection, message: dict[str, Any]) -> bool:
        try:
            client.connection.send(json.dumps(message).encode())
        except BlockingIOError:
            return False
        except OSError:
            self._leave(client)
            return False
        return True

    def _leave(self, client: DaemonConnection) -> None:
        if client in self._clients:
            self._clients.discard(client)
            client.news.clear()
            with contextlib.suppress(KeyError):
                self._selector.unregister(client.connection)
            client.connection.close()
