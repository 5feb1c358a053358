"""Refuses file systems served by users (FUSE): they can block root and dockerd.

A job that waits for such a server in the kernel cannot be killed, and its slice stays in use. The
mounts below a place are copied with it, so they are checked too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from launcher.errors import PinRefused
from launcher.mount_helper import syscalls
from launcher.mount_helper.opening import check_kind
from launcher.mount_helper.values import MountRequest
from launcher.procfs import lines, read_text

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mountinfo() -> str:
    """Return the mounts of this namespace: proc_pid_mountinfo(5)."""
    return read_text(Path("/proc/self/mountinfo"))


def check_open(fd: int, mount: MountRequest) -> int:
    """Refuse a place of a wrong kind, or on or above a file system that a user serves.

    Returns its mode. Mounts below may change a moment later: ``check_below`` checks the copy.
    """
    mode, mount_id = syscalls.kind_of(fd)
    check_kind(mode, mount)
    mounts = mountinfo()
    check_server(mounts, mount_id, mount)
    check_below(mounts, os.readlink(f"/proc/self/fd/{fd}"), mount)  # noqa: PTH115
    return mode


def check_server(mounts: str, mount_id: int, mount: MountRequest) -> None:
    """Refuse a place on a file system that a user serves; ``mounts`` is a mountinfo."""
    for line in lines(mounts):
        if line.split(" ", 1)[0] == str(mount_id):
            _check(line, "is", mount)
            return


def check_below(mounts: str, place: str, mount: MountRequest) -> None:
    """Refuse a place if a user serves a mount at or below it; ``mounts`` is a mountinfo."""
    for line in lines(mounts):
        at = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), line.split(" ", 5)[4])
        if at == place:
            _check(line, "is", mount)
        elif at.startswith(f"{place}/"):
            inner = PurePosixPath(str(mount), at.removeprefix(f"{place}/"))
            _check(line, f"{inner} is", mount)


def _check(line: str, label: str, mount: MountRequest) -> None:
    """Refuse a FUSE mount whose option ``user_id``, the uid that mounted it, is not root."""
    kind, _, options = line.partition(" - ")[2].split(" ")[:3]
    if kind.split(".")[0] in ("fuse", "fuseblk") and "user_id=0" not in options.split(","):
        raise PinRefused(
            f"{mount}: {label} on a file system that a user serves ({kind})",
            fix="Unmount it, let an admin mount it, or mount directories beside it.",
        )
