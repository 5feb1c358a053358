"""Finds the container that this process runs in."""

from __future__ import annotations

import re
from pathlib import Path

from launcher.procfs import read_lines

MOUNTS = Path("/proc/self/mountinfo")
_HOSTNAME = re.compile(r"/([0-9a-f]{64})/hostname$")


def own_container(mountinfo: Path = MOUNTS) -> str | None:
    """Return the full id of the Docker container that this process runs in, None outside of one.

    Docker mounts /etc/hostname into every container from the container's own directory (moby
    daemon/container_operations_unix.go). The kernel reports the source below its file system's
    root: field 4 of proc_pid_mountinfo(5). A hostname or an environment variable could be forged.
    """
    try:
        lines = read_lines(mountinfo)
    except OSError:
        return None
    for line in lines:
        source, target = line.split(" ")[3:5]
        match = _HOSTNAME.search(source)
        if match and target == "/etc/hostname":
            return match[1]
    return None
