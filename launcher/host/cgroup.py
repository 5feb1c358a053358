"""Process trees in cgroup v2 (kernel: admin-guide/cgroup-v2.rst).

A process and its descendants stay in its cgroup, whatever they do with sessions and parents.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from launcher.procfs import lines, read_lines

MOUNTINFO = Path("/proc/self/mountinfo")
MOST_PIDS = 100_000
KILL_SINCE = (5, 14)
"""The Linux version that added cgroup.kill."""
_VERSION = re.compile(r"(\d+)\.(\d+)", re.ASCII)
_PERIOD_US = 100_000
"""The period of cpu.max, in microseconds: the kernel's default."""


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """Limits of a process tree: memory in bytes, and cores; None for no limit."""

    memory: int | None = None
    cpus: float | None = None


def unified_root(mountinfo: Path = MOUNTINFO, release: str | None = None) -> Path | None:
    """Return the mount point of cgroup v2 if it can kill whole trees, None otherwise.

    On hybrid systems it is /sys/fs/cgroup/unified. ``release`` is a kernel release as in uname(2);
    None means the running kernel's.
    """
    numbers = _VERSION.match(os.uname().release if release is None else release)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < KILL_SINCE:
        return None
    for line in read_lines(mountinfo):
        fields = line.split(" ")
        kind = fields[fields.index("-") + 1]
        if kind == "cgroup2" and fields[3] == "/":
            return Path(fields[4])
    return None


def is_populated(events: int) -> bool:
    """Return whether a cgroup has processes, by its open cgroup.events; False once it is gone."""
    try:
        return b"populated 1" in os.pread(events, 4096, 0)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise


def pids_in(folder: Path) -> list[int]:
    """Return the processes of a cgroup of either version, and of those below it."""
    result: list[int] = []
    for place in [folder, *folder.rglob("*/")]:
        with contextlib.suppress(FileNotFoundError):
            result += map(int, (place / "cgroup.procs").read_text().split())
    return result


def paths_of_container(container_id: str, groups: str) -> dict[str, str]:
    """Return the paths of a container's cgroups by controller, "" for version 2.

    ``groups`` is the /proc/PID/cgroup of one of its processes, which may have moved to a cgroup
    below. Lines without the container's id are left out: in version 1 a process that is exiting is
    in the root, whose totals are the machine's (kernel/cgroup/cgroup.c, proc_cgroup_show).
    """
    paths: dict[str, str] = {}
    for line in lines(groups):
        _, controllers, path = line.split(":", 2)
        before, found, after = path.partition(container_id)
        if found:
            own = f"{before}{found}{after.partition('/')[0]}".lstrip("/")
            paths |= dict.fromkeys(controllers.split(","), own)
    return paths


def counts_oom_kill(file: Path | int) -> bool:
    """Return whether a file counts an OOM kill (memory.events, or v1's memory.oom_control).

    The file may be open. False once its cgroup is gone.
    """
    try:
        text = os.pread(file, 4096, 0).decode() if isinstance(file, int) else file.read_text()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines(text))


class Cgroup:
    """One job's cgroup. Methods raise ``OSError``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, limits: CgroupLimits) -> None:
        """Create the cgroup; an existing one is used unchanged.

        Raises ``OSError`` with the file's name if the kernel cannot set a limit: on hybrid systems
        the controllers belong to cgroup v1.
        """
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._count_use()
        wanted = {"memory": limits.memory, "cpu": limits.cpus}
        for controller in (name for name, limit in wanted.items() if limit is not None):
            (self.path.parent / "cgroup.subtree_control").write_text(f"+{controller}")
        if limits.memory is not None:
            (self.path / "memory.max").write_text(str(limits.memory))
            with contextlib.suppress(OSError):  # a kernel without swap accounting
                (self.path / "memory.swap.max").write_text("0")
        if limits.cpus is not None:
            (self.path / "cpu.max").write_text(f"{round(limits.cpus * _PERIOD_US)} {_PERIOD_US}")

    def _count_use(self) -> None:
        """Let the kernel count memory and block devices here, where it can."""
        for controller in ("memory", "io"):
            with contextlib.suppress(OSError):
                (self.path.parent / "cgroup.subtree_control").write_text(f"+{controller}")

    def add(self, pid: int) -> None:
        """Move a process into the cgroup."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def open_events(self, of: str = "cgroup") -> int:
        """Return an open cgroup.events; EPOLLPRI reports changes until it is read again."""
        return os.open(self.path / f"{of}.events", os.O_RDONLY | os.O_CLOEXEC)

    def is_populated(self) -> bool:
        """Return whether a process is here or below; False if the cgroup does not exist."""
        try:
            fd = self.open_events()
        except FileNotFoundError:
            return False
        try:
            return is_populated(fd)
        finally:
            os.close(fd)

    def signal(self, number: int) -> None:
        """Send a signal to each process."""
        for pid in pids_in(self.path)[:MOST_PIDS]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill all processes at once, including those being forked."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "cgroup.kill").write_text("1")

    def out_of_memory(self) -> bool:
        """Return whether the OOM killer killed a process here."""
        return counts_oom_kill(self.path / "memory.events")

    def remove(self) -> None:
        """Remove the cgroup and those below it, once no process is left."""
        below = sorted(self.path.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
        for place in [*below, self.path]:
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()
