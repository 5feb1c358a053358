"""Jobs' cgroups without systemd: the helper creates them itself."""

from __future__ import annotations

from pathlib import Path

from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.helper.children import Command, CommandFiles, start
from launcher.host.places import Begins, End, Started

DIRECTORY = "launcher.host"
"""The parent cgroup of the jobs' cgroups."""


class PlainPlaces:
    """Cgroups in a directory of the unified hierarchy."""

    waits = False

    def __init__(self, root: Path) -> None:
        self._directory = root / DIRECTORY

    def cgroup(self, name: str) -> Cgroup:
        """Return the cgroup that a job has or would have."""
        return Cgroup(self._directory / name)

    def join(self, name: str, pid: int, limits: CgroupLimits) -> Cgroup:
        """Return a job's new cgroup, with the process in it."""
        cgroup = self.cgroup(name)
        cgroup.create(limits)
        cgroup.add(pid)
        return cgroup

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        files: CommandFiles,
        begins: Begins,
    ) -> Started:
        """Start a command as a child."""
        cgroup = self.cgroup(name)
        cgroup.create(limits)
        try:
            pid = start(command, cgroup, files, lambda pid: begins(pid, cgroup))
        except BaseException:
            cgroup.remove()
            raise
        return Started(pid, cgroup, is_child=True)

    def end(self, _: str, *, of_spawned: bool) -> End:
        """Return an unknown end: the parent gets the status, and the cgroup shows OOM kills.

        ``of_spawned`` is ignored.
        """
        return End(None, oom=False)

    def names(self, prefix: str) -> list[str]:
        """Return the names with this prefix of the jobs that have a cgroup."""
        return [path.name for path in self._directory.glob(f"{prefix}*") if path.is_dir()]

    def remove(self, _: str, cgroup: Cgroup) -> None:
        """Remove the cgroup."""
        cgroup.remove()
