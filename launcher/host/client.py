"""The daemon's client of the host-job helper, safe in any thread."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.companion import CompanionSocket, receive, send
from launcher.errors import EngineUnavailable, LauncherError
from launcher.host.cgroup import CgroupLimits
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
from launcher.host.helper.children import Command

SECONDS = 30.0
HELPER = "the helper for host jobs"


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
        self._path, self._socket = path, CompanionSocket(Path(path), seconds, start)

    @contextlib.contextmanager
    def expected(self, name: str, uid: int, limits: CgroupLimits) -> Iterator[Expectation]:
        """Let a user's command join a job; leaving the block cancels the start."""
        with self._connection() as connection:
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
        with self._connection() as connection, command.in_memory() as file:
            return _tree(_exchange(connection, request, file, *files))

    def wait(self, name: str) -> ProcessTree | None:
        """Return once all processes have ended; None if the helper has no record of the job.

        Raises ``HostUnavailable`` if the helper ends meanwhile.
        """
        with self._connection() as connection:
            connection.settimeout(None)
            reply = _exchange(connection, {"do": "wait", "name": name})
        return _tree(reply) if "pid" in reply else None

    def state(self, name: str) -> tuple[ProcessTree | None, bool]:
        """Return the record of a job, and whether its cgroup has processes."""
        state = self._request({"do": "state", "name": name})
        return (_tree(state) if "pid" in state else None), bool(state["populated"])

    def output(self, name: str) -> list[int]:
        """Return the reading ends of a job's output, for the caller to close.

        The list is empty if the helper has none.
        """
        with self._connection() as connection:
            return _exchange_files(connection, {"do": "output", "name": name}, 2)

    def names(self, store: str) -> list[str]:
        """Return the names of a store's jobs that have a record, a cgroup or a unit."""
        with self._connection() as connection:
            files = _exchange_files(connection, {"do": "names", "store": store}, 1)
        if not files:
            raise HostUnavailable(f"{HELPER} sent no names")
        with os.fdopen(files[0], encoding="utf-8") as file:
            file.seek(0)
            return [str(name) for name in json.load(file)]

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
        with self._connection() as connection:
            return _exchange(connection, request)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        try:
            connection = self._socket.connect()
        except OSError as error:
            raise HostUnavailable(
                f"{HELPER} cannot be reached at {self._path}: {error.strerror or error}",
                fix="Start it: `systemctl start launcher-host.socket`.",
            ) from error
        with connection:
            yield connection


class Expectation:
    """A foreground job whose command may join with ``token``."""

    def __init__(self, connection: socket.socket, token: str) -> None:
        self.token = token
        self._connection = connection

    def joined(self, seconds: float) -> ProcessTree | None:
        """Wait until the command has joined; None if none did within ``seconds``."""
        self._connection.settimeout(seconds)
        with _explained():
            try:
                reply, _ = receive(self._connection, HELPER)
            except TimeoutError:
                return None
        return _tree(_checked(reply))


def _exchange(connection: socket.socket, request: Mapping[str, Any], *files: int) -> dict[str, Any]:
    """Return the reply to a request, to which files may be passed."""
    with _explained():
        send(connection, request, *files)
        reply, _ = receive(connection, HELPER)
    return _checked(reply)


def _exchange_files(connection: socket.socket, request: Mapping[str, Any], most: int) -> list[int]:
    """Return the files with the reply to a request, for the caller to close."""
    with _explained():
        send(connection, request)
        reply, files = receive(connection, HELPER, most)
    _checked(reply)
    return files


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Map the errors of a connection to ``HostUnavailable``."""
    try:
        yield
    except TimeoutError as error:
        raise HostUnavailable(f"{HELPER} does not answer") from error
    except ConnectionResetError as error:
        raise HostUnavailable(f"{HELPER} ended before it replied") from error
    except OSError as error:
        raise HostUnavailable(f"{HELPER}: {error.strerror or error}") from error


def _checked(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a reply; raises the error in it, if any."""
    if "error" in reply:
        raise HostRefused(str(reply["error"]), reply.get("errno"), reply.get("place"))
    return reply


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
