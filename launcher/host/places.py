"""Where jobs' processes are kept: what the helper asks of the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.helper.children import Command


class Started(NamedTuple):
    """A command that runs; ``is_child``: the helper is its parent, and reaps it."""

    pid: int
    cgroup: Cgroup
    is_child: bool


class End(NamedTuple):
    """How a job ended: its main process's wait status, None if unknown, and whether OOM killed."""

    status: int | None
    oom: bool


Begins = Callable[[int, Cgroup], None]
"""Is told the pid of a command, and its cgroup."""


class Places(Protocol):
    """Makes a cgroup for each job. Methods raise ``OSError``."""

    waits: bool
    """Whether methods wait for another program; then they are called from several threads."""

    def cgroup(self, name: str) -> Cgroup:
        """Return the cgroup that a job has or would have."""

    def join(self, name: str, pid: int, limits: CgroupLimits) -> Cgroup:
        """Return a job's new cgroup; a process that runs already is moved there."""

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        stdout: int,
        stderr: int,
        begins: Begins,
    ) -> Started:
        """Start a command in a new cgroup; returns once it executes.

        ``begins`` is called before the command can do anything.
        """

    def end(self, name: str, *, of_spawned: bool) -> End:
        """Return what is on record of the end of a job whose processes have ended.

        Only a job that was spawned has a status here. The cgroup may be gone.
        """

    def names(self, prefix: str) -> list[str]:
        """Return the names with this prefix of the jobs that have a cgroup or a unit."""

    def remove(self, name: str, cgroup: Cgroup) -> None:
        """Remove a job's cgroup, in which no process is left."""
