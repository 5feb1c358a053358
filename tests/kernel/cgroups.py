"""Runs in the booted machine, as its root: what a cgroup of version 2 used is read from its files.

Without pytest: the machine has Python alone. Ends with the line ``CGROUPS ARE READ``.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

from launcher.host.cgroup import paths_of_container
from launcher.host.cgroup_usage import CGROUPS, NO_USAGE, CgroupUsage, UsageFiles

MIB = 2**20
MEMORY, WRITTEN, CPU_SECONDS = 64 * MIB, 8 * MIB, 0.3


def use(file: Path) -> None:
    """Use memory, processor time and a block device."""
    held = bytearray(MEMORY)
    until = time.process_time() + CPU_SECONDS
    while time.process_time() < until:
        pass
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    aligned = mmap.mmap(-1, MIB)  # as O_DIRECT wants it
    for _ in range(WRITTEN // MIB):
        os.write(fd, aligned)
    os.fsync(fd)
    os.close(fd)
    del held


def used_by(group: Path, file: Path) -> tuple[CgroupUsage, UsageFiles]:
    """Return what a process used in a cgroup of its own, and the files that tell it."""
    group.mkdir()
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        use(file)
        os.write(writing, Path("/proc/self/cgroup").read_bytes())
        os._exit(0)
    files = UsageFiles.of_paths(paths_of_container(group.name, os.read(reading, 4096).decode()))
    os.waitpid(pid, 0)
    return files.read(), files


def main(file_system: str) -> None:
    """Check the totals of a cgroup whose process has ended, and that one that is gone has none."""
    controllers = "+cpu +memory +io"
    (CGROUPS / "cgroup.subtree_control").write_text(controllers)
    group = CGROUPS / "job"
    used, files = used_by(group, Path(file_system) / "written")
    print(files, used)
    assert files == UsageFiles.of_folder(group)
    assert files.keeps_peak, "Debian 12 has Linux 6.1"
    assert used.memory_peak_bytes is not None
    assert MEMORY <= used.memory_peak_bytes < 2 * MEMORY
    assert used.cpu_seconds is not None
    assert CPU_SECONDS <= used.cpu_seconds < 60
    assert used.written_bytes is not None
    assert used.written_bytes >= WRITTEN
    assert used.read_bytes is not None
    group.rmdir()
    assert files.read() == NO_USAGE
    print("CGROUPS ARE READ")


main(*sys.argv[1:])
