"""Starts of host jobs: commands that the helper starts, and those of clients, which join.

A start is recorded before anything is created. If the helper is killed meanwhile, the next helper
removes what was created, as soon as it contains no process.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from launcher import pidfd
from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.helper.children import Command, CommandFiles
from launcher.host.helper.connections import Connections, HelperConnection, Message
from launcher.host.helper.jobs import MOST_JOBS, HostJob, Records, start_ticks
from launcher.host.helper.operations import Operations
from launcher.host.places import Places, Started
from launcher.peers import peer_of

T = TypeVar("T")

log = logging.getLogger(__name__)

CLEAR_AGAIN_SECONDS = 5.0
SO_PEERPIDFD = 77
"""Linux 6.5: include/uapi/asm-generic/socket.h."""


class Expected:
    """A foreground job that may start now: its command must join with this token."""

    def __init__(self, uid: int, limits: CgroupLimits) -> None:
        self.uid, self.limits = uid, limits
        self.token = secrets.token_hex(16)


class Starts:
    """Starts jobs. ``jobs`` are those that run or have ended; ``on_start`` gets each new one."""

    def __init__(
        self,
        connections: Connections,
        operations: Operations,
        records: Records,
        places: Places,
        jobs: dict[str, HostJob],
        on_start: Callable[[HostJob], None],
    ) -> None:
        self._connections, self._operations = connections, operations
        self._records, self._places = records, places
        self._jobs, self._on_start = jobs, on_start
        self._expected: dict[str, Expected] = {}
        self._broken: dict[str, HostJob] = {name: job for name, job in jobs.items() if not job.pid}
        """Starts that failed or were interrupted. Their cgroups may still contain processes."""
        self._clear_at = 0.0
        for name in self._broken:
            del jobs[name]

    def expect(self, connection: HelperConnection, name: str, request: Message) -> Message:
        """Let a user's command join; its start is also reported on this connection."""
        if name in self._jobs:
            raise FileExistsError(errno.EEXIST, "it has started already", name)
        expected = Expected(int(request["uid"]), _limits(request))
        self._expected[name] = expected
        connection.waits_for = name
        return {"token": expected.token}

    def give_up(self, name: str) -> None:
        """Stop a job from being joined."""
        self._expected.pop(name, None)

    def join(self, connection: HelperConnection, token: str) -> None:
        """Move the process at the other end into the job that expects it."""
        result = [
            (name, expected)
            for name, expected in self._expected.items()
            if secrets.compare_digest(expected.token, token) and expected.uid == connection.uid
        ]
        if not result:
            raise PermissionError(errno.EPERM, "no job of this user waits for its command")
        (name, expected), pid = result[0], peer_of(connection.socket).pid
        self._must_have_room(name)
        held = _held(connection.socket, pid)
        connection.until = None  # it has sent its token
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

    def spawn(
        self, connection: HelperConnection, name: str, request: Message, files: list[int]
    ) -> Message | None:
        """Start a command; if it was started before, return its current state."""
        if name in self._jobs:
            return self._jobs[name].as_reply()
        self._must_have_room(name)
        command, limits = Command.read(files[0]), _limits(request)
        owned, reads = _own_files(request, files[1:])

        def begins(pid: int, cgroup: Cgroup) -> None:
            self._records.write(_job(name, command.uid, cgroup, pid))

        def spawn() -> Started:
            return self._places.spawn(name, command, limits, owned, begins)

        def spawned(future: Future[Started]) -> Message:
            for fd in owned:
                if fd is not None:
                    os.close(fd)
            try:
                started = future.result()
            except BaseException:
                for fd in reads:
                    os.close(fd)
                raise
            job = _job(name, command.uid, started.cgroup, started.pid)
            job.is_child, job.output = started.is_child, tuple(reads)
            with contextlib.suppress(
                ProcessLookupError
            ):  # a command started by systemd may have ended
                job.pidfd = os.pidfd_open(job.pid)
            self._record(job)
            return job.as_reply()

        self._run(connection, name, command.uid, spawn, spawned)
        return None

    @property
    def broken(self) -> list[str]:
        """The names of the starts that failed or were interrupted, until they are cleared."""
        return list(self._broken)

    def clear(self) -> None:
        """Remove the cgroups and records of failed starts that contain no process."""
        if time.monotonic() < self._clear_at:
            return
        for name, job in list(self._broken.items()):
            cgroup = self._places.cgroup(name)
            if not self._operations.is_busy(name) and not cgroup.is_populated():
                remove = partial(self._places.remove, name, cgroup)
                self._operations.run(name, job.uid, remove, partial(self._cleared, name))

    def forget(self, name: str) -> None:
        """Forget a job that was removed."""
        self._broken.pop(name, None)
        self.give_up(name)

    def _cleared(self, name: str, future: Future[None]) -> None:
        if (error := future.exception()) is not None:
            log.warning("cannot remove the remains of the start of %s: %s", name, error)
            self._clear_at = time.monotonic() + CLEAR_AGAIN_SECONDS
            return
        self._broken.pop(name, None)
        self._records.delete(name)

    def _run(
        self,
        connection: HelperConnection,
        name: str,
        uid: int,
        work: Callable[[], T],
        then: Callable[[Future[T]], Message],
    ) -> None:
        """Run the start of a job; ``then`` returns the reply."""
        left, planned = self._broken.get(name), _job(name, uid, self._places.cgroup(name), 0)

        def start() -> T:
            self._records.write(planned)
            if left is not None:
                self._places.remove(name, left.cgroup)
            return work()

        def started(future: Future[T]) -> Message:
            try:
                return then(future)
            except BaseException:
                self._places.cgroup(name).kill()
                with contextlib.suppress(OSError):
                    self._records.write(planned)
                raise

        self._broken[name] = planned
        self._operations.run(
            name,
            uid,
            start,
            lambda future: self._connections.answer(connection, partial(started, future)),
        )

    def _must_have_room(self, name: str) -> None:
        if len(self._jobs) + len(self._operations) >= MOST_JOBS:
            raise OSError(errno.ENOSPC, f"there are {MOST_JOBS} host jobs")
        if self._places.cgroup(name).is_populated():
            raise OSError(errno.EBUSY, "processes of an earlier start are left", name)

    def _joined(
        self, name: str, expected: Expected, pid: int, held: int, future: Future[Cgroup]
    ) -> None:
        job = _job(name, expected.uid, future.result(), pid)
        _must_run(held)
        if not self._connections.waiting_for(name):
            raise PermissionError(errno.EPERM, "the start was given up meanwhile")
        job.pidfd, job.token = held, expected.token
        self._record(job)

    def _record(self, job: HostJob) -> None:
        self._records.write(job)
        self._jobs[job.name] = job
        del self._broken[job.name]
        self._on_start(job)


def _own_files(request: Message, files: list[int]) -> tuple[CommandFiles, list[int]]:
    """Return a command's files, and the reading ends of its output, as descriptors of our own.

    A stdin is the last one; the request says whether it is there.
    """
    stdout, stderr, *others = map(os.dup, files)
    return CommandFiles(stdout, stderr, others.pop() if request.get("stdin") else None), others


def _job(name: str, uid: int, cgroup: Cgroup, pid: int) -> HostJob:
    return HostJob(name, uid, cgroup, pid, start_ticks(pid) if pid else 0, time.time_ns())


def _held(connection: socket.socket, pid: int) -> int:
    """Return a pidfd of the process that connected.

    Before Linux 6.5 it is opened by pid, assuming that the connection's owner is alive.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:
        return os.pidfd_open(pid)


def _must_run(held: int) -> None:
    if pidfd.is_over(held):
        raise ProcessLookupError(errno.ESRCH, "the command has ended")


def _limits(request: Message) -> CgroupLimits:
    memory, cpus = request.get("memory"), request.get("cpus")
    return CgroupLimits(
        None if memory is None else int(memory), None if cpus is None else float(cpus)
    )
