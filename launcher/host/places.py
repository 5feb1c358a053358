"""Interface to the place of jobs' processes on the machine: systemd's units, or cgroups alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.helper.children import Command, CommandFiles


class Started(NamedTuple):
    """A running command; ``is_child``: the helper is its parent, and reaps it."""

    pid: int
    cgroup: Cgroup
    is_child: bool


class End(NamedTuple):
    """How a job ended: its main process's wait status, None if unknown, and whether OOM killed."""

    status: int | None
    oom: bool


Begins = Callable[[int, Cgroup], None]
"""Called with the pid of a command, and its cgroup."""


class Places(Protocol):
    """Creates a cgroup for each job. Methods raise ``OSError``."""

    waits: bool
    """Whether methods wait for another program; then they are called in several threads."""

    def cgroup(self, name: str) -> Cgroup:
        """Return the cgroup that a job has or would have."""

    def join(self, name: str, pid: int, limits: CgroupLimits) -> Cgroup:
        """Return a job's new cgroup, with a running process moved into it."""

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        files: CommandFiles,
        begins: Begins,
    ) -> Started:
        """Start a command in a new cgroup; return once it executes.

        ``begins`` is called before the command can act.
        """

    def end(self, name: str, *, of_spawned: bool) -> End:
        """Return the recorded end of a job whose processes have ended.

        Only spawned jobs have a status here. The cgroup may be gone.
        """

    def names(self, prefix: str) -> list[str]:
        """Return the names with this prefix of the jobs that have a cgroup or a unit."""

    def remove(self, name: str, cgroup: Cgroup) -> None:
        """Remove a job's cgroup, which has no process left."""
