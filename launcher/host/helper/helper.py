"""Handles the helper's requests: the daemon's, and those of commands that join their jobs.

For users it only moves the process at the other end of a connection, which the kernel identifies,
into the cgroup of a job of that process's user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import socket
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from launcher.host.cgroup import Cgroup
from launcher.host.freezing import of_container, set_frozen
from launcher.host.helper.children import in_memory
from launcher.host.helper.connections import Connections, HelperConnection, Message
from launcher.host.helper.ends import Ends
from launcher.host.helper.jobs import HostJob, Records, checked, is_name, prefix_of
from launcher.host.helper.operations import Operations
from launcher.host.helper.polling import Poll
from launcher.host.helper.starts import Starts
from launcher.host.places import Places

IDLE_SECONDS = 5.0
MEASURE_SECONDS = 5.0
"""The interval between readings of what jobs have used: so much is lost at most where systemd has
removed a cgroup before the last reading."""


class Helper:
    """Serves two listening sockets until it is idle."""

    def __init__(
        self,
        daemons: socket.socket,
        users: socket.socket,
        records: Records,
        places: Places,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._records, self._places, self._idle_seconds = records, places, idle_seconds
        self._poll = Poll()
        self._connections = Connections(self._poll, self._reply, self._left)
        self._operations = Operations(self._poll, threaded=places.waits)
        self._ends = Ends(self._poll, self._operations, places, self._ended)
        self._jobs = records.read()
        self._starts = Starts(
            self._connections, self._operations, records, places, self._jobs, self._on_start
        )
        self._quiet_since = time.monotonic()
        self._connections.listen(daemons, of_users=False)
        self._connections.listen(users, of_users=True)
        for job in self._jobs.values():
            self._ends.watch(job)

    def serve(self) -> None:
        """Serve until no job runs and no daemon is connected for ``idle_seconds``."""
        due = time.monotonic()
        while not self._is_idle():
            self._poll.once(1.0)
            self._connections.drop_overdue()
            self._connections.resume()
            self._starts.clear()
            is_due = time.monotonic() >= due
            for job in list(self._jobs.values()):
                if job.ended_ns is None:
                    self._ends.see(job)
                if is_due:
                    job.measure()
            if is_due:
                due = time.monotonic() + MEASURE_SECONDS

    def _is_idle(self) -> bool:
        is_running = any(job.ended_ns is None for job in self._jobs.values())
        if self._connections or self._operations or self._starts.broken or is_running:
            self._quiet_since = time.monotonic()
        return time.monotonic() - self._quiet_since > self._idle_seconds

    def _reply(
        self, connection: HelperConnection, request: dict[str, Any], files: list[int]
    ) -> Message | None:
        """Return the reply; None if it comes later."""
        if connection.uid is not None:
            token = str(request["token"])
            if "status" in request:
                return self._end(connection.uid, token, int(request["status"]))
            self._starts.join(connection, token)
            return None
        if request["do"] == "freeze":
            set_frozen(of_container(str(request["folder"])), bool(request["frozen"]))
            return {}
        of_store = request["do"] == "names"
        name = prefix_of(request["store"]) if of_store else checked(request.get("name"))
        if self._operations.is_busy(name):
            duplicates = [os.dup(fd) for fd in files]
            self._operations.after(
                name, partial(self._later, connection, name, request, duplicates)
            )
            return None
        return self._reply_of(connection, name, request, files)

    def _later(
        self, connection: HelperConnection, name: str, request: dict[str, Any], files: list[int]
    ) -> None:
        """Reply to a request that waited for another one."""
        if self._connections.is_open(connection):
            reply = partial(self._reply_of, connection, name, request, files)
            self._connections.answer(connection, reply)
        for fd in files:
            os.close(fd)

    def _reply_of(
        self, connection: HelperConnection, name: str, request: dict[str, Any], files: list[int]
    ) -> Message | None:
        """Return the reply to a request about a job; None if it comes later."""
        match request["do"]:
            case "expect":
                return self._starts.expect(connection, name, request)
            case "spawn":
                return self._starts.spawn(connection, name, request, files)
            case "wait":
                return self._wait(connection, name)
            case "output":
                return self._output(connection, name)
            case "state":
                return self._state(name)
            case "signal":
                return self._signal(name, int(request["number"]), tree=bool(request["tree"]))
            case "kill":
                self._cgroup(name).kill()
                return {}
            case "remove":
                self._remove(connection, name)
                return None
            case "names":
                self._names(connection, name)
                return None
        raise ValueError(f"{request['do']!r} is not a request")

    def _left(self, connection: HelperConnection) -> None:
        name = connection.waits_for
        if name is not None and not self._connections.waiting_for(name):
            self._starts.give_up(name)

    def _end(self, uid: int, token: str, status: int) -> Message:
        """Accept a client's report of its command's wait status if the kernel reports none."""
        for job in self._jobs.values():
            if job.uid == uid and job.token and secrets.compare_digest(job.token, token):
                job.status = status if job.status is None else job.status
                self._ends.see(job)
                return {}
        raise PermissionError(errno.EPERM, "no job of this user has this token")

    def _cgroup(self, name: str) -> Cgroup:
        job = self._jobs.get(name)
        return self._places.cgroup(name) if job is None else job.cgroup

    def _on_start(self, job: HostJob) -> None:
        self._connections.send_to_waiting(job.name, job.as_reply())
        self._ends.watch(job)

    def _output(self, connection: HelperConnection, name: str) -> Message | None:
        """Send the reading ends of a job's pipes; none if the helper does not have them."""
        job = self._jobs.get(name)
        files = () if job is None else job.output
        with contextlib.suppress(OSError):
            socket.send_fds(connection.socket, [b"{}"], files)
        return None

    def _wait(self, connection: HelperConnection, name: str) -> Message | None:
        job = self._jobs.get(name)
        if job is None or job.ended_ns is not None:
            return self._state(name)
        connection.waits_for = name
        return None

    def _state(self, name: str) -> Message:
        """Return the record; for a job without one, whether its cgroup has processes."""
        job = self._jobs.get(name)
        if job is None:
            return {"name": name, "populated": self._cgroup(name).is_populated()}
        job.measure()
        return {**job.as_reply(), "populated": job.cgroup.is_populated()}

    def _signal(self, name: str, number: int, *, tree: bool) -> Message:
        job = self._jobs.get(name)
        if tree:
            self._cgroup(name).signal(number)
        elif job is not None and job.pidfd != -1:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(job.pidfd, number)
        return {}

    def _remove(self, connection: HelperConnection, name: str) -> None:
        cgroup, job = self._cgroup(name), self._jobs.get(name)
        if cgroup.is_populated():
            raise OSError(errno.EBUSY, "it has processes", name)

        def removed(future: Future[None]) -> Message:
            future.result()
            if job is not None:
                del self._jobs[name]
                self._ends.unwatch(job)
                for fd in job.output:
                    os.close(fd)
            self._starts.forget(name)
            self._records.delete(name)
            return {}

        self._operations.run(
            name,
            0 if job is None else job.uid,
            partial(self._places.remove, name, cgroup),
            lambda future: self._connections.answer(connection, partial(removed, future)),
        )

    def _names(self, connection: HelperConnection, prefix: str) -> None:
        """Send a file with the names of the jobs that have a record, a cgroup or a unit."""

        def listed(future: Future[list[str]]) -> Message | None:
            known = {*future.result(), *self._jobs, *self._starts.broken}
            names = sorted(name for name in known if name.startswith(prefix) and is_name(name))
            with in_memory(names) as file, contextlib.suppress(OSError):
                socket.send_fds(connection.socket, [b"{}"], [file])
            return None

        self._operations.run(
            prefix,
            0,
            partial(self._places.names, prefix),
            lambda future: self._connections.answer(connection, partial(listed, future)),
        )

    def _ended(self, job: HostJob) -> None:
        self._records.write(job)
        self._connections.send_to_waiting(job.name, {**job.as_reply(), "populated": False})
