"""The forwarder: listens for the owners of jobs, and relays to the ports of their containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.listening import (
    Acceptor,
    bound_paths,
    listening,
    most_of_user,
    own_directory,
)
from launcher.peers import peer_of
from launcher.ports.namespaces import namespace_of, socket_within

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256
"""The maximum number of connections to the ports of one user's jobs. It is less while all users
together have many (``most_of_user``)."""
MOST_OF_ALL = 8192
"""The maximum number of connections, of two descriptors each."""
CONNECT_SECONDS = 10.0
_LOCALHOST = "127.0.0.1"
_PIECE = 1 << 16
_SUFFIX = ".sock"
_MOST_PATH_BYTES = 107
"""The maximum length of the path of a unix socket, which clients connect to (unix(7))."""


@dataclass(slots=True, eq=False)
class Forwarding:
    """The open ports of one attempt. ``namespace`` is None if it cannot be entered from here."""

    name: str
    uid: int
    pidfd: int
    namespace: int | None
    address: str
    ports: list[dict[str, Any]] = field(default_factory=list)
    listeners: list[socket.socket] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def connection(self, port: int) -> tuple[socket.socket, tuple[str, int]]:
        """Return a new socket and where it is to connect."""
        if self.namespace is None:
            if not self.address:  # it would mean this machine's own localhost
                raise OSError("the container has no network")
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM), (self.address, port)
        return socket_within(self.namespace), (_LOCALHOST, port)


class Forwarder:
    """Serves the daemon's requests, one JSON object per message (SOCK_SEQPACKET)."""

    def __init__(self, directory: Path) -> None:
        """Make the directory of the sockets, without those that an earlier forwarder left.

        Raises ``OSError`` if it is another user's.
        """
        own_directory(directory, 0o755)
        in_use = bound_paths()
        for path in directory.glob(f"*{_SUFFIX}"):
            if str(path) not in in_use:
                path.unlink(missing_ok=True)
        self._directory = directory
        self._open: dict[str, Forwarding] = {}
        self._connections: Counter[int] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether no port is open."""
        return not self._open

    def answer(self, message: bytes) -> bytes:
        """Return the reply to a request."""
        try:
            request = json.loads(message)
            do = {"forward": self._forward, "list": self._list}[request["do"]]
            return json.dumps(do(request)).encode()
        except (OSError, ValueError, KeyError, TypeError) as error:
            return json.dumps({"error": str(error)}).encode()

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"open": {name: each.ports for name, each in self._open.items()}}

    def _forward(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open the ports of an attempt; those that are open stay as they are."""
        name = str(request["name"])
        if (known := self._open.get(name)) is not None:
            return {"ports": known.ports}
        pid, container = int(request["pid"]), str(request["container"])
        pidfd = os.pidfd_open(pid)
        try:
            namespace = _namespace(pid, container)
        except BaseException:
            os.close(pidfd)
            raise
        made = Forwarding(name, int(request["uid"]), pidfd, namespace, str(request["address"]))
        self._open[name] = made
        asyncio.get_running_loop().add_reader(pidfd, self._close, made)
        for port in request["ports"]:
            made.ports.append(self._listen(made, int(port), request))
        return {"ports": made.ports}

    def _listen(self, forwarding: Forwarding, port: int, request: dict[str, Any]) -> dict[str, Any]:
        path = self._directory / f"{forwarding.name.partition('.')[0]}-{port}{_SUFFIX}"
        view: dict[str, Any] = {"port": port, "socket": "", "loopback": None}
        try:
            self._accept_on(forwarding, _listening(path, forwarding.uid), port)
            view["socket"] = str(path)
            if request.get("loopback"):
                first, last = request["loopback"]
                free = _free_port(int(first), int(last))
                self._accept_on(forwarding, free, port)
                view["loopback"] = free.getsockname()[1]
        except OSError as error:
            view["trouble"] = str(error.strerror or error)
        return view

    def _accept_on(self, forwarding: Forwarding, listener: socket.socket, port: int) -> None:
        forwarding.listeners.append(listener)
        loop = asyncio.get_running_loop()

        def watch(on: bool) -> None:
            if on:
                loop.add_reader(listener, accept)
            else:
                loop.remove_reader(listener)

        def accept() -> None:
            if (client := acceptor.accept()) is not None:
                self._admit(forwarding, client, port)

        acceptor = Acceptor(listener, watch, log.warning, loop.call_later)

    def _admit(self, forwarding: Forwarding, client: socket.socket, port: int) -> None:
        """Relay for a client, or close the connection of one that is not allowed."""
        local = client.family == socket.AF_UNIX
        allowed = not local or peer_of(client).uid in (forwarding.uid, 0)
        most = most_of_user(MOST_CONNECTIONS, MOST_OF_ALL - self._connections.total())
        if not allowed or self._connections[forwarding.uid] >= most:
            client.close()
            return
        self._connections[forwarding.uid] += 1
        task = asyncio.get_running_loop().create_task(self._relay(forwarding, client, port))
        forwarding.tasks.add(task)
        task.add_done_callback(forwarding.tasks.discard)

    async def _relay(self, forwarding: Forwarding, client: socket.socket, port: int) -> None:
        try:
            with client:
                client.setblocking(False)
                server, address = forwarding.connection(port)
                with server:
                    await _connect(server, address)
                    # Each must be over before the sockets close: asyncio would go on waiting for
                    # their descriptors, which the next connections get.
                    async with asyncio.TaskGroup() as pumps:
                        pumps.create_task(_pump(client, server))
                        pumps.create_task(_pump(server, client))
        except* OSError as errors:
            log.debug("%s port %d: %s", forwarding.name, port, errors.exceptions)
        finally:
            self._connections[forwarding.uid] -= 1
            self._connections += Counter()  # drops the users at zero

    def _close(self, forwarding: Forwarding) -> None:
        """Close the ports of an attempt whose container has ended."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(forwarding.pidfd)
        os.close(forwarding.pidfd)
        for listener in forwarding.listeners:
            loop.remove_reader(listener)
            listener.close()
        for task in forwarding.tasks:
            task.cancel()
        if forwarding.namespace is not None:
            os.close(forwarding.namespace)
        for each in forwarding.ports:
            with contextlib.suppress(OSError):
                Path(each["socket"] or "/nowhere").unlink(missing_ok=True)
        self._open.pop(forwarding.name, None)


async def _connect(server: socket.socket, address: tuple[str, int]) -> None:
    server.setblocking(False)
    async with asyncio.timeout(CONNECT_SECONDS):
        await asyncio.get_running_loop().sock_connect(server, address)


async def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source has sent all, and then say so."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _PIECE):
        await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _namespace(pid: int, container: str) -> int | None:
    """Return the namespace of a container, None if this process may not enter any."""
    try:
        namespace = namespace_of(pid, container)
    except PermissionError:
        return None
    try:
        socket_within(namespace).close()
    except PermissionError:
        os.close(namespace)
        return None
    return namespace


def _listening(path: Path, uid: int) -> socket.socket:
    """Return a listening socket that belongs to a user; raises ``OSError``."""
    if (length := len(os.fsencode(path))) > _MOST_PATH_BYTES:
        raise OSError(
            f"the path {path} has {length} bytes, and a socket's has {_MOST_PATH_BYTES} at most:"
            " set ports_directory in launcher.toml to a shorter one"
        )
    path.unlink(missing_ok=True)
    listener = listening(str(path), 0o600)
    try:
        if os.getuid() == 0:
            os.chown(path, uid, -1)
    except BaseException:
        listener.close()
        path.unlink(missing_ok=True)
        raise
    return listener


def _free_port(first: int, last: int) -> socket.socket:
    """Return a listening socket on a free port of a range; raises ``OSError``."""
    for port in range(first, last + 1):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Else a port that was closed cannot be given to another job for a minute (TIME-WAIT).
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOCALHOST, port))
            listener.listen()
        except OSError:
            listener.close()
            continue
        return listener
    raise OSError(f"all loopback ports from {first} to {last} are in use")
