"""The daemon's client of the host-job helper, safe in any thread."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import EngineUnavailable, LauncherError
from launcher.host.cgroup import CgroupLimits
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
from launcher.host.helper.children import Command
from launcher.host.helper.connections import MOST_MESSAGE_BYTES

SECONDS = 30.0


class HostUnavailable(EngineUnavailable):
    """The helper cannot be reached, or ended before it replied."""


class HostRefused(LauncherError):
    """The helper or the kernel refused a request; ``errno`` is the kernel's number, or None."""

    def __init__(self, message: str, errno: int | None, place: str | None) -> None:
        super().__init__(message)
        self.errno, self.place = errno, place


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A job's process tree as reported by the helper; times are nanoseconds since 1970.

    ``status`` is the main process's wait status, None while it runs or if it is unknown.
    """

    pid: int
    started_ns: int
    status: int | None
    ended_ns: int | None
    oom: bool
    usage: CgroupUsage = field(default=NO_USAGE, compare=False)


class HostHelper:
    """Sends requests to the helper. All methods raise ``HostUnavailable`` and ``HostRefused``."""

    def __init__(
        self, path: str, seconds: float = SECONDS, start: Callable[[], None] | None = None
    ) -> None:
        """``start`` starts a missing helper; None if systemd does."""
        self._path, self._seconds, self._start = path, seconds, start
        self._starting = threading.Lock()

    @contextlib.contextmanager
    def expected(self, name: str, uid: int, limits: CgroupLimits) -> Iterator[Expectation]:
        """Let a user's command join a job; leaving the block cancels the start."""
        with self._connect() as connection:
            request = {"do": "expect", "name": name, "uid": uid, **_limits(limits)}
            yield Expectation(connection, str(_exchange(connection, request)["token"]))

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        *output: int,
        stdin: int | None = None,
    ) -> ProcessTree:
        """Start a command; ``output`` are the files for its stdout and stderr.

        The reading ends of pipes may follow: the helper keeps them open, so that a reader's death
        does not break the pipes. If the name was started before, its current state is returned.
        """
        request = {"do": "spawn", "name": name, "stdin": stdin is not None, **_limits(limits)}
        files = output if stdin is None else (*output, stdin)
        with self._connect() as connection, command.in_memory() as file:
            return _tree(_exchange(connection, request, file, *files))

    def wait(self, name: str) -> ProcessTree | None:
        """Return once all processes have ended; None if the helper has no record of the job.

        Raises ``HostUnavailable`` if the helper ends meanwhile.
        """
        with self._connect() as connection:
            _send(connection, {"do": "wait", "name": name})
            connection.settimeout(None)
            reply = _received(connection)
        return _tree(reply) if "pid" in reply else None

    def state(self, name: str) -> tuple[ProcessTree | None, bool]:
        """Return the record of a job, and whether its cgroup has processes."""
        state = self._request({"do": "state", "name": name})
        return (_tree(state) if "pid" in state else None), bool(state["populated"])

    def output(self, name: str) -> list[int]:
        """Return the reading ends of a job's output, for the caller to close.

        The list is empty if the helper has none.
        """
        with self._connect() as connection:
            _send(connection, {"do": "output", "name": name})
            try:
                return socket.recv_fds(connection, MOST_MESSAGE_BYTES, 2)[1]
            except OSError as error:
                raise HostUnavailable(f"the helper for host jobs: {error.strerror}") from error

    def names(self, store: str) -> list[str]:
        """Return the names of a store's jobs that have a record, a cgroup or a unit."""
        request = {"do": "names", "store": store}
        with self._connect() as connection:
            _send(connection, request)
            files: list[int] = []
            try:
                data, files, _, _ = socket.recv_fds(connection, MOST_MESSAGE_BYTES, 1)
                _parsed(data)
                with open(files[0], encoding="utf-8", closefd=False) as file:
                    file.seek(0)
                    return [str(name) for name in json.load(file)]
            except OSError as error:
                raise HostUnavailable(f"the helper for host jobs: {error.strerror}") from error
            finally:
                for fd in files:
                    os.close(fd)

    def signal(self, name: str, number: int, *, tree: bool) -> None:
        """Send a signal to a job's main process, or to each of its processes."""
        self._request({"do": "signal", "name": name, "number": number, "tree": tree})

    def set_frozen(self, folder: Path, frozen: bool) -> None:
        """Freeze or thaw a container's control group; raises only ``OSError``."""
        try:
            self._request({"do": "freeze", "folder": str(folder), "frozen": frozen})
        except LauncherError as failed:
            raise OSError(failed.message) from failed

    def kill(self, name: str) -> None:
        """Kill all of a job's processes at once."""
        self._request({"do": "kill", "name": name})

    def remove(self, name: str) -> None:
        """Remove a job's cgroup and record, once it has ended."""
        self._request({"do": "remove", "name": name})

    def _request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._connect() as connection:
            return _exchange(connection, request)

    def _connect(self) -> socket.socket:
        try:
            with self._starting:
                try:
                    return self._connected()
                except (FileNotFoundError, ConnectionRefusedError):
                    if self._start is None:
                        raise
                    self._start()
                    return self._connected()
        except OSError as error:
            raise HostUnavailable(
                f"the helper for host jobs cannot be reached at {self._path}: {error.strerror}",
                fix="Start it: `systemctl start launcher-host.socket`.",
            ) from error

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(self._seconds)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection


class Expectation:
    """A foreground job whose command may join with ``token``."""

    def __init__(self, connection: socket.socket, token: str) -> None:
        self.token = token
        self._connection = connection

    def joined(self, seconds: float) -> ProcessTree | None:
        """Wait until the command has joined; None if none did within ``seconds``."""
        self._connection.settimeout(seconds)
        try:
            return _tree(_received(self._connection))
        except TimeoutError:
            return None


def _send(connection: socket.socket, request: Mapping[str, Any], *files: int) -> None:
    try:
        socket.send_fds(connection, [json.dumps(request).encode()], files)
    except OSError as error:
        raise HostUnavailable(f"the helper for host jobs: {error.strerror}") from error


def _exchange(connection: socket.socket, request: Mapping[str, Any], *files: int) -> dict[str, Any]:
    _send(connection, request, *files)
    try:
        return _received(connection)
    except TimeoutError as error:
        raise HostUnavailable("the helper for host jobs does not answer") from error


def _received(connection: socket.socket) -> dict[str, Any]:
    """Return the next message; raises ``TimeoutError`` if none comes."""
    try:
        data = connection.recv(MOST_MESSAGE_BYTES)
    except TimeoutError:
        raise
    except OSError as error:
        raise HostUnavailable(f"the helper for host jobs: {error.strerror}") from error
    return _parsed(data)


def _parsed(data: bytes) -> dict[str, Any]:
    """Return the reply in a message; raises the error in it, if any."""
    if not data:
        raise HostUnavailable("the helper for host jobs ended before it replied")
    message: dict[str, Any] = json.loads(data)
    if "error" in message:
        raise HostRefused(str(message["error"]), message.get("errno"), message.get("place"))
    return message


def _tree(message: Mapping[str, Any]) -> ProcessTree:
    return ProcessTree(
        message["pid"],
        message["started_ns"],
        message["status"],
        message["ended_ns"],
        bool(message["oom"]),
        CgroupUsage(**message.get("usage", {})),  # a helper of an earlier version sends none
    )


def _limits(limits: CgroupLimits) -> dict[str, Any]:
    return {"memory": limits.memory, "cpus": limits.cpus}
