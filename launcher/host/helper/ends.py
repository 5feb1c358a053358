"""Detects the end of host jobs: of the main process and of the last process, and OOM kills."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from launcher.host.cgroup import counts_oom_kill, is_populated
from launcher.host.helper.jobs import HostJob
from launcher.host.helper.operations import Operations
from launcher.host.helper.polling import Poll
from launcher.host.places import End, Places

REAP_SECONDS = 5.0
"""The exit status is available within this time after an end, or not at all."""


class Ends:
    """Watches jobs until they end."""

    def __init__(
        self, poll: Poll, operations: Operations, places: Places, ended: Callable[[HostJob], None]
    ) -> None:
        """``ended`` is called with each job that has ended."""
        self._poll, self._operations = poll, operations
        self._places, self._ended = places, ended
        self._later: set[str] = set()
        """Jobs to check once their current operation ends."""

    def watch(self, job: HostJob) -> None:
        """Watch a job that may have ended already."""
        if job.ended_ns is not None:
            return
        if job.pidfd != -1:
            self._poll.add(job.pidfd, lambda events: self._main_ended(job, events))
        with contextlib.suppress(FileNotFoundError):
            job.events = job.cgroup.open_events()
            self._poll.add(job.events, lambda _: self.see(job), select.EPOLLPRI)
        with contextlib.suppress(FileNotFoundError):  # systems with controllers in cgroup v1
            job.memory = job.cgroup.open_events("memory")
            self._poll.add(job.memory, lambda _: self._see_memory(job), select.EPOLLPRI)
        self.see(job)

    def unwatch(self, job: HostJob) -> None:
        """Close a job's descriptors and stop watching it."""
        job.ended_ns = job.ended_ns or time.time_ns()
        self._let_go_of_main(job)
        for fd in (job.events, job.memory):
            if fd != -1:
                self._poll.remove(fd)
                os.close(fd)
        job.events = job.memory = -1

    def see(self, job: HostJob) -> None:
        """Check whether a job has ended, and how."""
        if job.ended_ns is not None or (job.events != -1 and is_populated(job.events)):
            return
        if self._operations.is_busy(job.name):
            self._see_later(job)
            return
        job.measure()
        job.empty_since = job.empty_since or time.monotonic()
        for fd in (job.events, job.memory):
            self._poll.remove(fd)  # a removed cgroup would raise events endlessly
        # If the kernel does not report a status, the client reports that of a command that joined,
        # and systemd that of a command that it started.
        if not job.see_main() and job.token and not _is_late(job):
            return
        look_up = partial(self._places.end, job.name, of_spawned=not job.token)
        self._operations.run(job.name, job.uid, look_up, partial(self._got_end, job))

    def _see_later(self, job: HostJob) -> None:
        def see() -> None:
            self._later.discard(job.name)
            self.see(job)

        if job.name not in self._later:
            self._later.add(job.name)
            self._operations.after(job.name, see)

    def _got_end(self, job: HostJob, future: Future[End]) -> None:
        end = future.result()
        if not job.see_main():
            job.status = end.status
        if job.status is None and not _is_late(job):
            return
        job.oom |= end.oom or job.cgroup.out_of_memory()
        self.unwatch(job)
        self._ended(job)

    def _let_go_of_main(self, job: HostJob) -> None:
        if job.pidfd != -1:
            self._poll.remove(job.pidfd)
            os.close(job.pidfd)
            job.pidfd = -1

    def _main_ended(self, job: HostJob, events: int) -> None:
        """EPOLLIN: the main process has ended; EPOLLHUP: reaped, its status is final."""
        job.measure()  # systemd removes the cgroup once it is empty
        if job.see_main() or events & select.EPOLLHUP:
            self._let_go_of_main(job)
        else:
            self._poll.only_hangup(job.pidfd)
        self.see(job)

    def _see_memory(self, job: HostJob) -> None:
        job.oom |= counts_oom_kill(job.memory)
        if not job.cgroup.path.exists():
            self._poll.remove(job.memory)


def _is_late(job: HostJob) -> bool:
    return job.empty_since is not None and time.monotonic() >= job.empty_since + REAP_SECONDS
