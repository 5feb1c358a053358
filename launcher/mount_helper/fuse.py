"""File systems that a user serves (FUSE) are not mounted: they could hold up root and dockerd.

A job that waits for one in the kernel cannot be killed, and its slice stays in use. What is mounted
below a place comes along with it, so those mounts are looked at as well.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from launcher.errors import PinRefused
from launcher.mount_helper import syscalls
from launcher.mount_helper.opening import check_kind
from launcher.mount_helper.values import MountRequest

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mountinfo() -> str:
    """Return what is mounted in this namespace: proc_pid_mountinfo(5)."""
    return Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")


def check_open(fd: int, mount: MountRequest) -> int:
    """Refuse an open place of a wrong kind, on or above a file system that a user serves.

    Returns its mode. What is below may be mounted a moment later: ``check_below`` tells of a copy.
    """
    mode, mount_id = syscalls.kind_of(fd)
    check_kind(mode, mount)
    mounts = mountinfo()
    check_server(mounts, mount_id, mount)
    check_below(mounts, os.readlink(f"/proc/self/fd/{fd}"), mount)  # noqa: PTH115
    return mode


def check_server(mounts: str, mount_id: int, mount: MountRequest) -> None:
    """Refuse a place whose file system a user serves; ``mounts`` is a mountinfo."""
    for line in mounts.splitlines():
        if line.split(" ", 1)[0] == str(mount_id):
            _check(line, "is", mount)
            return


def check_below(mounts: str, place: str, mount: MountRequest) -> None:
    """Refuse what is mounted at or below a place if a user serves it; ``mounts`` is a mountinfo."""
    for line in mounts.splitlines():
        at = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), line.split(" ", 5)[4])
        if at == place:
            _check(line, "is", mount)
        elif at.startswith(f"{place}/"):
            inner = PurePosixPath(str(mount), at.removeprefix(f"{place}/"))
            _check(line, f"{inner} is", mount)


def _check(line: str, label: str, mount: MountRequest) -> None:
    """The file system's own options have ``user_id`` of who mounted it."""
    kind, _, options = line.partition(" - ")[2].split(" ")[:3]
    if kind.split(".")[0] in ("fuse", "fuseblk") and "user_id=0" not in options.split(","):
        raise PinRefused(
            f"{mount}: {label} on a file system that a user serves ({kind})",
            fix="Unmount it, let an admin mount it, or mount directories beside it.",
        )
