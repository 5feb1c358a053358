"""The helper's loop: what the daemon asks, and the commands of foreground jobs that join.

Messages are JSON objects, one each (SOCK_SEQPACKET). The daemon's socket is root's alone. The other
one is open to users: all that it does is to move the process at its other end, which the kernel
names, into the cgroup of a job of that process's own user.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import select
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from launcher import pidfd
from launcher.host.cgroup import Cgroup, CgroupLimits, counts_oom_kill, is_populated
from launcher.host.children import Command
from launcher.host.freezing import of_container, set_frozen
from launcher.host.jobs import MOST_JOBS, HostJob, Records, checked, start_ticks
from launcher.host.places import Places
from launcher.peers import peer_of

log = logging.getLogger(__name__)

MOST_MESSAGE_BYTES = 4096
MOST_FILES = 5
MOST_CLIENTS = 1024
MOST_CONNECTIONS_OF_USER = 16
JOIN_SECONDS = 10.0
"""A command that has connected says within this time whose it is."""
REAP_SECONDS = 5.0
"""Within this time after an end its status is known, or never will be."""
IDLE_SECONDS = 5.0
SO_PEERPIDFD = 77
"""Linux 6.5: include/uapi/asm-generic/socket.h."""

Message = Mapping[str, Any]


class HelperConnection:
    """One connection; ``uid`` is None for the daemon's."""

    def __init__(self, connection: socket.socket, uid: int | None) -> None:
        connection.setblocking(False)
        self.socket, self.uid = connection, uid
        self.until = time.monotonic() + JOIN_SECONDS if uid is not None else None
        self.waits_for: str | None = None
        """The job whose start or end is to be told here."""


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
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._connections: set[HelperConnection] = set()
        self._expected: dict[str, Expected] = {}
        self._jobs = records.read()
        self._quiet_since = time.monotonic()
        for listener, is_users in ((daemons, False), (users, True)):
            listener.setblocking(False)
            self._add(listener.fileno(), self._accepts(listener, is_users))
        for job in self._jobs.values():
            self._watch(job)

    def serve(self) -> None:
        """Work until no job runs and no daemon is connected for a while."""
        while not self._is_idle():
            for fd, events in self._epoll.poll(1.0):
                call = self._calls.get(fd)
                if call is not None:
                    call(events)
            self._look_at_clock()

    def _is_idle(self) -> bool:
        if self._connections or any(job.ended_ns is None for job in self._jobs.values()):
            self._quiet_since = time.monotonic()
        return time.monotonic() - self._quiet_since > self._idle_seconds

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.until is not None and connection.until < now:
                self._leave(connection)
        for job in list(self._jobs.values()):
            if job.ended_ns is None:
                self._see(job)

    # Connections.

    def _accepts(self, listener: socket.socket, is_users: bool) -> Callable[[int], None]:
        def accept(_: int) -> None:
            try:
                accepted = listener.accept()[0]
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                return
            uid = peer_of(accepted).uid if is_users else None
            held = Counter(each.uid for each in self._connections)
            most = MOST_CLIENTS if uid is None else MOST_CONNECTIONS_OF_USER
            if held[uid] >= most or len(self._connections) >= MOST_CLIENTS:
                accepted.close()
                return
            connection = HelperConnection(accepted, uid)
            self._connections.add(connection)
            self._add(accepted.fileno(), lambda _: self._read(connection))

        return accept

    def _read(self, connection: HelperConnection) -> None:
        files: list[int] = []
        try:
            data, files, _, _ = socket.recv_fds(connection.socket, MOST_MESSAGE_BYTES, MOST_FILES)
            if not data:
                self._leave(connection)
                return
            reply = self._reply(connection, json.loads(data), files)
        except BlockingIOError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            if connection.uid is None:
                log.warning("a request failed: %s", error)
            reply = _error(error)
        finally:
            for fd in files:
                os.close(fd)
        if reply is not None:
            self._send(connection, reply)

    def _reply(
        self, connection: HelperConnection, asked: dict[str, Any], files: list[int]
    ) -> Message | None:
        """Return the answer; None where it comes later."""
        if connection.uid is not None:
            token = str(asked["token"])
            if "status" in asked:
                return self._end(connection.uid, token, int(asked["status"]))
            return self._join(connection, token)
        if asked["do"] == "freeze":
            set_frozen(of_container(str(asked["folder"])), bool(asked["frozen"]))
            return {}
        name = checked(asked.get("name"))
        match asked["do"]:
            case "expect":
                return self._expect(connection, name, asked)
            case "spawn":
                return self._spawn(name, asked, files)
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
                return self._remove(name)
        raise ValueError(f"{asked['do']!r} is not a request")

    def _send(self, connection: HelperConnection, message: Message) -> None:
        try:
            connection.socket.send(json.dumps(message).encode())
        except OSError:  # the other side does not read: a message fits, or nobody waits for it
            self._leave(connection)

    def _leave(self, connection: HelperConnection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._remove_call(connection.socket.fileno())
        connection.socket.close()
        name = connection.waits_for
        if name in self._expected and not self._who_waits(name):
            del self._expected[name]  # the daemon gave the start up

    def _who_waits(self, name: str) -> list[HelperConnection]:
        return [each for each in self._connections if each.waits_for == name]

    # Requests.

    def _expect(self, connection: HelperConnection, name: str, asked: Message) -> Message:
        """Let a command of this user join; its start is told on this connection, too."""
        if name in self._jobs:
            raise FileExistsError(errno.EEXIST, "it has started already", name)
        expected = Expected(int(asked["uid"]), _limits(asked))
        self._expected[name] = expected
        connection.waits_for = name
        return {"token": expected.token}

    def _join(self, connection: HelperConnection, token: str) -> Message:
        found = [
            (name, expected)
            for name, expected in self._expected.items()
            if secrets.compare_digest(expected.token, token) and expected.uid == connection.uid
        ]
        if not found:
            raise PermissionError(errno.EPERM, "no job of this user waits for its command")
        (name, expected), pid = found[0], peer_of(connection.socket).pid
        held = _held(connection.socket, pid)
        try:
            self._must_have_room()
            cgroup = self._places.join(name, pid, expected.limits)
            job = _job(name, expected.uid, cgroup, pid)
            if pidfd.is_over(held):
                raise ProcessLookupError(errno.ESRCH, "the command has ended")
        except BaseException:
            os.close(held)
            raise
        job.pidfd, job.token = held, token
        del self._expected[name]
        self._began(job)
        return {"joined": name}

    def _end(self, uid: int, token: str, status: int) -> Message:
        """Take a client's word for its command's wait status, where the kernel does not tell it."""
        for job in self._jobs.values():
            if job.uid == uid and job.token and secrets.compare_digest(job.token, token):
                job.status = status if job.status is None else job.status
                self._see(job)
                return {}
        raise PermissionError(errno.EPERM, "no job of this user has this token")

    def _spawn(self, name: str, asked: Message, files: list[int]) -> Message:
        if name in self._jobs:
            return self._jobs[name].told()
        described, stdout, stderr, *reads = files
        command = Command.read(described)
        self._must_have_room()

        def begins(pid: int, cgroup: Cgroup) -> None:
            self._records.write(_job(name, command.uid, cgroup, pid))

        try:
            limits = _limits(asked)
            started = self._places.spawn(name, command, limits, stdout, stderr, begins)
        except BaseException:
            self._records.delete(name)
            raise
        job = _job(name, command.uid, started.cgroup, started.pid)
        job.is_child, job.output = started.is_child, tuple(map(os.dup, reads))
        with contextlib.suppress(ProcessLookupError):  # what systemd started may have ended
            job.pidfd = os.pidfd_open(job.pid)
        self._began(job)
        return job.told()

    def _must_have_room(self) -> None:
        if len(self._jobs) >= MOST_JOBS:
            raise OSError(errno.ENOSPC, f"there are {MOST_JOBS} host jobs")

    def _cgroup(self, name: str) -> Cgroup:
        job = self._jobs.get(name)
        return self._places.cgroup(name) if job is None else job.cgroup

    def _began(self, job: HostJob) -> None:
        self._records.write(job)
        self._jobs[job.name] = job
        self._watch(job)
        for connection in self._who_waits(job.name):
            connection.waits_for = None
            self._send(connection, job.told())

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

    def _remove(self, name: str) -> Message:
        cgroup = self._cgroup(name)
        if cgroup.is_populated():
            raise OSError(errno.EBUSY, "it has processes", name)
        self._expected.pop(name, None)
        job = self._jobs.pop(name, None)
        if job is not None:
            self._unwatch(job)
            for fd in job.output:
                os.close(fd)
        self._places.remove(name, cgroup)
        self._records.delete(name)
        return {}

    # Ends.

    def _watch(self, job: HostJob) -> None:
        if job.ended_ns is not None:
            return
        if job.pidfd != -1:
            self._add(job.pidfd, lambda events: self._main_ended(job, events))
        with contextlib.suppress(FileNotFoundError):
            job.events = job.cgroup.open_events()
            self._add(job.events, lambda _: self._see(job), select.EPOLLPRI)
        with contextlib.suppress(FileNotFoundError):  # systems whose controllers are of cgroup v1
            job.memory = job.cgroup.open_events("memory")
            self._add(job.memory, lambda _: self._see_memory(job), select.EPOLLPRI)
        self._see(job)

    def _unwatch(self, job: HostJob) -> None:
        self._let_go_of_main(job)
        for fd in (job.events, job.memory):
            if fd != -1:
                self._remove_call(fd)
                os.close(fd)
        job.events = job.memory = -1

    def _let_go_of_main(self, job: HostJob) -> None:
        if job.pidfd != -1:
            self._remove_call(job.pidfd)
            os.close(job.pidfd)
            job.pidfd = -1

    def _main_ended(self, job: HostJob, events: int) -> None:
        """EPOLLIN: it has ended; EPOLLHUP: it was reaped, now or never its status is known."""
        if job.see_main() or events & select.EPOLLHUP:
            self._let_go_of_main(job)
        else:
            self._epoll.modify(job.pidfd, 0)
        self._see(job)

    def _see(self, job: HostJob) -> None:
        if job.ended_ns is not None or (job.events != -1 and is_populated(job.events)):
            return
        now = time.monotonic()
        job.empty_since = job.empty_since or now
        for fd in (job.events, job.memory):
            self._remove_call(fd)  # of a cgroup that is gone they would tell without an end
        # Where the kernel does not tell a status, the client does of a command that joined, and
        # systemd of one that it started.
        if not job.see_main() and not job.token:
            job.status = self._places.status(job.name)
        if not job.see_main() and now < job.empty_since + REAP_SECONDS:
            return
        job.oom |= job.cgroup.out_of_memory() or self._places.out_of_memory(job.name)
        job.ended_ns = time.time_ns()
        self._unwatch(job)
        self._records.write(job)
        for connection in self._who_waits(job.name):
            connection.waits_for = None
            self._send(connection, {**job.told(), "populated": False})

    def _see_memory(self, job: HostJob) -> None:
        job.oom |= counts_oom_kill(job.memory)
        if not job.cgroup.path.exists():
            self._remove_call(job.memory)

    def _add(self, fd: int, call: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        self._calls[fd] = call
        self._epoll.register(fd, events)

    def _remove_call(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)


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


def _limits(asked: Message) -> CgroupLimits:
    memory, cpus = asked.get("memory"), asked.get("cpus")
    return CgroupLimits(
        None if memory is None else int(memory), None if cpus is None else float(cpus)
    )


def _error(error: BaseException) -> Message:
    if not isinstance(error, OSError) or error.errno is None:
        return {"error": str(error)}
    place = f"{error.filename}: " if error.filename else ""
    return {"error": f"{place}{error.strerror}", "errno": error.errno, "place": error.filename}
