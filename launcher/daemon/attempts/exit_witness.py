"""Observes ends of containers in the kernel, even while Docker is down or invents an end.

A pidfd holds the init of each running container. It reports the end at once, with the exit status
if the kernel provides one (``pidfd``). Only Docker can report that a container has stopped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher import pidfd
from launcher.daemon.loop.logging_setup import about_container
from launcher.daemon.loop.sd_notify import Notifier
from launcher.engine.containers import Container
from launcher.host.cgroup import counts_oom_kill, paths_of_container
from launcher.host.cgroup_usage import CGROUPS, NO_USAGE, CgroupUsage, UsageFiles
from launcher.host.freezing import set_frozen
from launcher.passed_fds import STORED
from launcher.procfs import lines, read_text

log = logging.getLogger(__name__)

PROC = Path("/proc")
_NOT_STARTED = "00010101000000"
"""The start of a container that Docker does not know was started, see ``_start_of``."""
MEASURE_SECONDS = 1.0
"""The files of a container are in memory until its last process ends, too short to look then."""
FIRST_SAMPLE_SECONDS, SAMPLE_SECONDS = 0.1, 5.0
"""The shortest and the longest interval between readings of what a container has used; in between
it is the container's age. If Docker removes the cgroup before the last reading, the use since then
is lost."""
_OOM_FILES = {"memory": "memory.oom_control", "": "memory.events"}
"""Files of cgroup v1 and v2, by controller; each has a line "oom_kill N"."""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """An end: its time (seconds since 1970), and exit code and OOM kill if known.

    ``files`` are the bytes that files in memory (/dev/shm, tmpfs) had when last measured.
    """

    at: float | None
    exit_code: int | None
    oom: bool
    files: int | None = None


@dataclass(slots=True)
class _Watched:
    name: str
    pidfd: int
    start: str
    """Identifies this start of the container."""
    oom_file: Path | None
    usage_files: UsageFiles
    usage: CgroupUsage = NO_USAGE
    """The last reading."""
    held_at: float = field(default_factory=time.monotonic)
    read_again_at: float = field(init=False)
    oom: bool = False
    files: int | None = None
    seen: bool = False
    at: float | None = None
    end: Witnessed | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.read_again_at = self.held_at + FIRST_SAMPLE_SECONDS

    def read_usage(self, now: float) -> None:
        """Read what it has used, and set the time of the next reading."""
        self.usage = self.usage.most(self.usage_files.read())
        age = max(FIRST_SAMPLE_SECONDS, now - self.held_at)
        self.read_again_at = now + min(SAMPLE_SECONDS, age)


class ExitWitness:
    """Holds one pidfd for each container. Thread-safe.

    ``statuses``: read exit codes. ``blind``: hold no pidfd, for tests without real processes.
    ``stored``: pidfds that systemd kept over a restart, by container and start. ``set_frozen``
    freezes a container's control group.
    """

    def __init__(
        self,
        *,
        statuses: bool = True,
        blind: bool = False,
        notifier: Notifier | None = None,
        stored: Mapping[str, int] | None = None,
        set_frozen: Callable[[Path, bool], None] = set_frozen,
    ) -> None:
        self._statuses, self.blind, self.set_frozen = statuses, blind, set_frozen
        self._notifier = notifier or Notifier({})
        self._watched: dict[str, _Watched] = {}
        self._by_fd: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._wakes = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wakes, select.EPOLLIN)
        self._started = False
        for stored_name, fd in (stored or {}).items():
            os.set_inheritable(fd, False)
            name, _, start = stored_name.rpartition("_")
            # The end time of a container that has ended by now is unknown.
            self._hold(_Watched(name, fd, start, None, UsageFiles(), seen=pidfd.is_over(fd)))

    def watch(self, container: Container) -> None:
        """Hold a running container; no effect if it is held or its init is not visible."""
        if self.blind or not container.running or not container.pid:
            return
        start = _start_of(container)
        with self._lock:
            held = self._watched.get(container.name)
            if held is not None and held.start == start:
                if held.oom_file is None:
                    held.oom_file, held.usage_files = _files_of(
                        _paths_of(container.id, container.pid)
                    )
                return
            try:
                fd = os.pidfd_open(container.pid)
            except OSError:
                return
            paths = _paths_of(container.id, container.pid)
            # The id in its cgroup proves that the pid has not been reused by another process.
            if not paths or pidfd.is_over(fd):
                os.close(fd)
                return
            self._release(held)
            self._forget_stored(held)
            self._hold(_Watched(container.name, fd, start, *_files_of(paths)))
            self._notifier.store(f"{STORED}{container.name}_{start}", fd)

    def hold(self, name: str, container_id: str, pid: int) -> None:
        """Hold the init of a container that runs without Docker's knowledge."""
        with self._lock, contextlib.suppress(OSError):
            fd, paths = os.pidfd_open(pid), _paths_of(container_id, pid)
            self._release(self._watched.get(name))
            self._hold(_Watched(name, fd, _NOT_STARTED, *_files_of(paths)))
            self._notifier.store(f"{STORED}{name}_{_NOT_STARTED}", fd)

    def holds(self, container: Container) -> bool:
        """Whether the init of this start of a container is or was held."""
        watched = self._watched.get(container.name)
        return watched is not None and watched.start == _start_of(container)

    def runs(self, container: Container) -> bool:
        """Whether the init of this start of a container is held and runs."""
        watched = self._watched.get(container.name)
        if watched is None or watched.start != _start_of(container) or watched.seen:
            return False
        return self._by_fd.get(watched.pidfd) is watched

    def signal(self, container: Container, name: str) -> None:
        """Signal the init of a container that Docker cannot reach, if it runs."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            watched = self._watched.get(container.name)
            if watched is not None and self.runs(container):
                signal.pidfd_send_signal(watched.pidfd, signal.Signals[name])

    def _hold(self, watched: _Watched) -> None:
        self._watched[watched.name] = self._by_fd[watched.pidfd] = watched
        self._epoll.register(watched.pidfd, select.EPOLLIN)
        if not self._started:
            self._started = True
            threading.Thread(target=self._look, name="exit-witness", daemon=True).start()
        os.eventfd_write(self._wakes, 1)  # its first reading is due soon

    def end_of(self, container: Container, seconds: float) -> Witnessed | None:
        """Return the end of a container that Docker reports as stopped, None if not observed.

        An end of an earlier start does not count: a restarted container has a new init. Waits for
        up to ``seconds`` until its parent reaps it.
        """
        watched = self._watched.get(container.name)
        if watched is None or watched.start != _start_of(container):
            return None
        return self.end_of_removed(container.name, seconds)

    def end_of_removed(self, name: str, seconds: float) -> Witnessed | None:
        """Return the end of a container that is gone, None if not observed."""
        watched = self._watched.get(name)
        if watched is None:
            return None
        watched.over.wait(seconds)
        return watched.end

    def usage_of(self, name: str) -> CgroupUsage:
        """Return what a container has used so far, or had used when it ended."""
        with self._lock:
            watched = self._watched.get(name)
            if watched is None:
                return NO_USAGE
            if not watched.seen:
                watched.read_usage(time.monotonic())
            return watched.usage

    def forget(self, name: str) -> None:
        """Release a container."""
        with self._lock:
            watched = self._watched.pop(name, None)
            self._release(watched)
            self._forget_stored(watched)

    def _release(self, watched: _Watched | None) -> None:
        # A closed descriptor's number may be reused for another container.
        if watched is not None and self._by_fd.get(watched.pidfd) is watched:
            del self._by_fd[watched.pidfd]
            with contextlib.suppress(OSError):
                self._epoll.unregister(watched.pidfd)
            os.close(watched.pidfd)

    def _forget_stored(self, watched: _Watched | None) -> None:
        if watched is not None:
            self._notifier.unstore(f"{STORED}{watched.name}_{watched.start}")

    def _look(self) -> None:
        due = time.monotonic()
        while True:
            running = [each for each in list(self._watched.values()) if not each.seen]
            next_at = min((each.read_again_at for each in running), default=due)
            wait = min(due, next_at) - time.monotonic()
            for fd, events in self._epoll.poll(max(0.0, wait)):
                if fd == self._wakes:
                    os.eventfd_read(fd)
                    continue
                with self._lock:
                    watched = self._by_fd.get(fd)
                    if watched is not None:
                        self._see(watched, events)
            now = time.monotonic()
            for each in running:
                if now >= each.read_again_at:
                    self._read_usage(each, now)
            if now >= due:
                self._measure(now)
                due = now + MEASURE_SECONDS

    def _measure(self, now: float) -> None:
        """Measure the containers' files in memory, and each peak that the kernel does not keep."""
        for watched in list(self._watched.values()):
            if watched.seen:
                continue
            if watched.oom_file is not None:
                watched.files = _files_in_memory(watched.oom_file.parent) or watched.files
            if not watched.usage_files.keeps_peak:
                self._read_usage(watched, now)

    def _read_usage(self, watched: _Watched, now: float) -> None:
        with self._lock:
            if not watched.seen:
                watched.read_usage(now)

    def _see(self, watched: _Watched, events: int) -> None:
        """Record an end: EPOLLIN when the init has ended, EPOLLHUP when it was reaped as well."""
        if not watched.seen:
            watched.at = time.time()
            # Docker removes the cgroup soon, and what decides the job's outcome comes first.
            watched.oom = watched.oom_file is not None and counts_oom_kill(watched.oom_file)
            watched.usage = watched.usage.most(watched.usage_files.read())
            watched.seen = True
        if events & select.EPOLLIN:
            self._epoll.modify(watched.pidfd, 0)
        if not events & select.EPOLLHUP:
            return
        status = pidfd.exit_status(watched.pidfd) if self._statuses else None
        code = None if status is None else pidfd.exit_code(status)
        watched.end = Witnessed(watched.at, code, watched.oom, watched.files)
        about_container(log, watched.name).debug("its init ended: %s", watched.end)
        self._release(watched)
        watched.over.set()


def _files_in_memory(group: Path) -> int | None:
    """Return the bytes of files in memory that a cgroup is charged for; None if unknown.

    ``shmem`` of memory.stat, in both versions (kernel: admin-guide/cgroup-v2.rst).
    """
    try:
        rows = [line.split(" ") for line in lines(read_text(group / "memory.stat"))]
    except OSError:
        return None
    return next((int(row[1]) for row in rows if row[0] == "shmem"), None)


def _start_of(container: Container) -> str:
    """Return the identity of one start of a container: Docker's unrounded time, as digits."""
    return "".join(filter(str.isdecimal, str(container.info["State"].get("StartedAt"))))


def _paths_of(container_id: str, pid: int) -> dict[str, str]:
    try:
        return paths_of_container(container_id, read_text(PROC / str(pid) / "cgroup"))
    except OSError:
        return {}


def _files_of(paths: Mapping[str, str]) -> tuple[Path | None, UsageFiles]:
    """Return the file that counts OOM kills (cgroups(7); v1's controller is memory), and totals."""
    places = [
        CGROUPS / each / paths[each] / _OOM_FILES[each] for each in _OOM_FILES if each in paths
    ]
    oom_file = next((place for place in places if place.exists()), None)
    return oom_file, UsageFiles.of_paths(paths, CGROUPS)
