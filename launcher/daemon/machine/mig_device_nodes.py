"""Which MIG devices a running container can open: the device nodes that it has.

The driver has one node for each GPU instance and compute instance, in /dev/nvidia-caps; NVIDIA's
toolkit and CDI add those of a container's MIG devices to it. Minor numbers belong to (GPU, GI, CI)
while the driver is loaded, so unlike indexes they do not move with the layout.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from launcher.daemon.machine.tools import Host
from launcher.engine.containers import Container

FOLDERS = ("dev", "nvidia-caps")
MOST_NODES = 16384
"""More entries than the driver has nodes: a container with more is not read."""
_CI = re.compile(r"gpu(\d+)/gi(\d+)/ci(\d+)/access")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class MigDeviceNodes:
    """Inspects containers through /proc. Thread-safe.

    ``host`` holds the driver's tables; ``proc`` shows the processes of dockerd's machine.
    """

    def __init__(self, host: Host, proc: Path = Path("/proc")) -> None:
        self._host, self._proc = host, proc

    def of(self, container: Container) -> frozenset[str]:
        """Return the MIG devices that a container has nodes of, each as ``/dev/nvidia0/GI/CI``.

        Empty if that cannot be known: no privilege, another pid namespace, a driver that does
        not list its nodes, or a container that has ended.
        """
        place = self._proc / str(container.pid)
        numbers, major = minors(self._host), self._major()
        if container.pid <= 0 or not numbers or major is None:
            return frozenset()
        try:
            has = set(_minors_in(place / "root", major))
            if container.id not in (place / "cgroup").read_text():
                return frozenset()  # the pid was reused by now
        except (OSError, UnicodeDecodeError):
            return frozenset()
        names = (_CI.fullmatch(name) for name, minor in numbers.items() if minor in has)
        return frozenset(f"/dev/nvidia{n[1]}/{n[2]}/{n[3]}" for n in names if n)

    def _major(self) -> int | None:
        """Return the major number of the nodes, from the kernel's list (proc_devices(5))."""
        try:
            rows = [
                line.split() for line in self._host.file("/proc/devices").read_text().split("\n")
            ]
        except (OSError, UnicodeDecodeError):
            return None
        return next((int(row[0]) for row in rows if row[1:] == ["nvidia-caps"]), None)


def _minors_in(root: Path, major: int) -> Iterator[int]:
    """Yield the minor numbers of a container's nodes; links in it are not followed.

    Raises ``OSError`` if they cannot be read.
    """
    with ExitStack() as opened:
        fd = os.open(root, _FOLDER)
        opened.callback(os.close, fd)
        for name in FOLDERS:
            fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            opened.callback(os.close, fd)
        with os.scandir(fd) as entries:
            for entry in islice(entries, MOST_NODES):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == major:
                    yield os.minor(status.st_rdev)


MINORS = "/proc/driver/nvidia-caps/mig-minors"


def minors(host: Host) -> dict[str, int]:
    """Return the minor number of every capability, by the driver's names: ``gpu0/gi1/access``.

    Empty if this driver has no such list.
    """
    try:
        lines = host.file(MINORS).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    rows = (line.rpartition(" ") for line in lines)
    return {name.strip(): int(number) for name, _, number in rows if number.isdigit()}
