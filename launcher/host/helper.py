"""The helper: what the daemon asks of it, and the commands of foreground jobs that join.

All that it does for users is to move the process at the other end of a connection, which the
kernel names, into the cgroup of a job of that process's own user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from launcher import pidfd
from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.children import Command
from launcher.host.connections import Connections, HelperConnection, Message
from launcher.host.ends import Ends
from launcher.host.freezing import of_container, set_frozen
from launcher.host.jobs import MOST_JOBS, HostJob, Records, checked, start_ticks
from launcher.host.operations import Operations
from launcher.host.places import Places, Started
from launcher.host.polling import Poll
from launcher.peers import peer_of

T = TypeVar("T")

IDLE_SECONDS = 5.0
SO_PEERPIDFD = 77
"""Linux 6.5: include/uapi/asm-generic/socket.h."""


class Expected:
    """A foreground job that may start now: its command is to join with this token."""

    def __init__(self, uid: int, limits: CgroupLimits) -> None:
        self.uid, self.limits = uid, limits
        self.token = secrets.token_hex(16)


class Helper:
    """Serves two listening sockets until there is nothing left to do."""

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
        self._expected: dict[str, Expected] = {}
        self._jobs = records.read()
        self._quiet_since = time.monotonic()
        self._connections.listen(daemons, of_users=False)
        self._connections.listen(users, of_users=True)
        for job in self._jobs.values():
            self._ends.watch(job)

    def serve(self) -> None:
        """Work until no job runs and no daemon is connected for a while."""
        while not self._is_idle():
            self._poll.once(1.0)
            self._connections.drop_overdue()
            for job in list(self._jobs.values()):
                if job.ended_ns is None:
                    self._ends.see(job)

    def _is_idle(self) -> bool:
        is_running = any(job.ended_ns is None for job in self._jobs.values())
        if self._connections or self._operations or is_running:
            self._quiet_since = time.monotonic()
        return time.monotonic() - self._quiet_since > self._idle_seconds

    def _reply(
        self, connection: HelperConnection, asked: dict[str, Any], files: list[int]
    ) -> Message | None:
        """Return the answer; None where it comes later."""
        if connection.uid is not None:
            token = str(asked["token"])
            if "status" in asked:
                return self._end(connection.uid, token, int(asked["status"]))
            self._join(connection, token)
            return None
        if asked["do"] == "freeze":
            set_frozen(of_container(str(asked["folder"])), bool(asked["frozen"]))
            return {}
        name = checked(asked.get("name"))
        if self._operations.is_busy(name):
            kept = [os.dup(fd) for fd in files]
            self._operations.after(name, partial(self._later, connection, name, asked, kept))
            return None
        return self._reply_of(connection, name, asked, files)

    def _later(
        self, connection: HelperConnection, name: str, asked: dict[str, Any], files: list[int]
    ) -> None:
        """Answer a request that waited for another one."""
        if self._connections.is_open(connection):
            reply = partial(self._reply_of, connection, name, asked, files)
            self._connections.answer(connection, reply)
        for fd in files:
            os.close(fd)

    def _reply_of(
        self, connection: HelperConnection, name: str, asked: dict[str, Any], files: list[int]
    ) -> Message | None:
        """Return the answer to a request of a job; None where it comes later."""
        match asked["do"]:
            case "expect":
                return self._expect(connection, name, asked)
            case "spawn":
                return self._spawn(connection, name, asked, files)
            case "wait":
                return self._wait(connection, name)
            case "output":
                return self._output(connection, name)
            case "state":
                return self._state(name)
            case "signal":
                return self._signal(name, int(asked["number"]), tree=bool(asked["tree"]))
            case "kill":
                self._cgroup(name).kill()
                return {}
            case "remove":
                self._remove(connection, name)
                return None
        raise ValueError(f"{asked['do']!r} is not a request")

    def _left(self, connection: HelperConnection) -> None:
        name = connection.waits_for
        if name in self._expected and not self._connections.waiting_for(name):
            del self._expected[name]  # the daemon gave the start up

    def _run(
        self,
        connection: HelperConnection,
        name: str,
        uid: int,
        work: Callable[[], T],
        then: Callable[[Future[T]], Message],
    ) -> None:
        """Run an operation of a job, and answer what ``then`` returns or raises."""
        self._operations.run(
            name,
            uid,
            work,
            lambda future: self._connections.answer(connection, partial(then, future)),
        )

    def _expect(self, connection: HelperConnection, name: str, asked: Message) -> Message:
        """Let a command of this user join; its start is told on this connection, too."""
        if name in self._jobs:
            raise FileExistsError(errno.EEXIST, "it has started already", name)
        expected = Expected(int(asked["uid"]), _limits(asked))
        self._expected[name] = expected
        connection.waits_for = name
        return {"token": expected.token}

    def _join(self, connection: HelperConnection, token: str) -> None:
        found = [
            (name, expected)
            for name, expected in self._expected.items()
            if secrets.compare_digest(expected.token, token) and expected.uid == connection.uid
        ]
        if not found:
            raise PermissionError(errno.EPERM, "no job of this user waits for its command")
        self._must_have_room()
        (name, expected), pid = found[0], peer_of(connection.socket).pid
        held = _held(connection.socket, pid)
        connection.until = None  # it has said whose it is
        del self._expected[name]

        def join() -> Cgroup:
            _must_run(held)
            return self._places.join(name, pid, expected.limits)

        def joined(future: Future[Cgroup]) -> Message:
            try:
                self._joined(name, expected, pid, held, future)
            except BaseException:
                os.close(held)
                if self._connections.waiting_for(name):
                    self._expected[name] = expected
                raise
            return {"joined": name}

        self._run(connection, name, expected.uid, join, joined)

    def _joined(
        self, name: str, expected: Expected, pid: int, held: int, future: Future[Cgroup]
    ) -> None:
        job = _job(name, expected.uid, future.result(), pid)
        _must_run(held)
        if not self._connections.waiting_for(name):
            job.cgroup.kill()
            raise PermissionError(errno.EPERM, "the start was given up meanwhile")
        job.pidfd, job.token = held, expected.token
        self._began(job)

    def _end(self, uid: int, token: str, status: int) -> Message:
        """Take a client's word for its command's wait status, where the kernel does not tell it."""
        for job in self._jobs.values():
            if job.uid == uid and job.token and secrets.compare_digest(job.token, token):
                job.status = status if job.status is None else job.status
                self._ends.see(job)
                return {}
        raise PermissionError(errno.EPERM, "no job of this user has this token")

    def _spawn(
        self, connection: HelperConnection, name: str, asked: Message, files: list[int]
    ) -> Message | None:
        if name in self._jobs:
            return self._jobs[name].told()
        self._must_have_room()
        command, limits = Command.read(files[0]), _limits(asked)
        stdout, stderr, *reads = map(os.dup, files[1:])

        def begins(pid: int, cgroup: Cgroup) -> None:
            self._records.write(_job(name, command.uid, cgroup, pid))

        def spawn() -> Started:
            return self._places.spawn(name, command, limits, stdout, stderr, begins)

        def spawned(future: Future[Started]) -> Message:
            os.close(stdout)
            os.close(stderr)
            try:
                started = future.result()
            except BaseException:
                self._records.delete(name)
                for fd in reads:
                    os.close(fd)
                raise
            job = _job(name, command.uid, started.cgroup, started.pid)
            job.is_child, job.output = started.is_child, tuple(reads)
            with contextlib.suppress(ProcessLookupError):  # what systemd started may have ended
                job.pidfd = os.pidfd_open(job.pid)
            self._began(job)
            return job.told()

        self._run(connection, name, command.uid, spawn, spawned)
        return None

    def _must_have_room(self) -> None:
        if len(self._jobs) + len(self._operations) >= MOST_JOBS:
            raise OSError(errno.ENOSPC, f"there are {MOST_JOBS} host jobs")

    def _cgroup(self, name: str) -> Cgroup:
        job = self._jobs.get(name)
        return self._places.cgroup(name) if job is None else job.cgroup

    def _began(self, job: HostJob) -> None:
        self._records.write(job)
        self._jobs[job.name] = job
        self._connections.tell(job.name, job.told())
        self._ends.watch(job)

    def _output(self, connection: HelperConnection, name: str) -> Message | None:
        """Pass the reading ends of a job's pipes on, none where they are not here."""
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
        """Return the record; of a job without one whether its cgroup has processes."""
        job = self._jobs.get(name)
        if job is None:
            return {"name": name, "populated": self._cgroup(name).is_populated()}
        return {**job.told(), "populated": job.cgroup.is_populated()}

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
        self._expected.pop(name, None)

        def removed(future: Future[None]) -> Message:
            future.result()
            if job is not None:
                del self._jobs[name]
                self._ends.unwatch(job)
                for fd in job.output:
                    os.close(fd)
            self._records.delete(name)
            return {}

        uid = 0 if job is None else job.uid
        self._run(connection, name, uid, lambda: self._places.remove(name, cgroup), removed)

    def _ended(self, job: HostJob) -> None:
        self._records.write(job)
        self._connections.tell(job.name, {**job.told(), "populated": False})


def _job(name: str, uid: int, cgroup: Cgroup, pid: int) -> HostJob:
    return HostJob(name, uid, cgroup, pid, start_ticks(pid), time.time_ns())


def _held(connection: socket.socket, pid: int) -> int:
    """Return a pidfd of the process that connected.

    Before Linux 6.5 by its pid: an open connection's owner is taken to be alive.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:
        return os.pidfd_open(pid)


def _must_run(held: int) -> None:
    if pidfd.is_over(held):
        raise ProcessLookupError(errno.ESRCH, "the command has ended")


def _limits(asked: Message) -> CgroupLimits:
    memory, cpus = asked.get("memory"), asked.get("cpus")
    return CgroupLimits(
        None if memory is None else int(memory), None if cpus is None else float(cpus)
    )
