"""Another process: how it ended, by a pidfd, and when it started.

The ioctl PIDFD_GET_INFO tells an exit status (Linux 6.15 and later), once the process's parent has
reaped it, whoever that is. Constants and layout: include/uapi/linux/pidfd.h.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
from pathlib import Path

PROC = Path("/proc")
_INFO = struct.Struct("=QQ11Ii")
"""struct pidfd_info, version 0: mask, cgroupid, eleven ids, exit_code."""
_INFO_EXIT = 1 << 3
_READ_WRITE, _MAGIC, _NUMBER = 3, 0xFF, 11
_GET_INFO = _READ_WRITE << 30 | _INFO.size << 16 | _MAGIC << 8 | _NUMBER


def exit_status(pidfd: int) -> int | None:
    """Return the wait status of a reaped process, None where the kernel does not tell it."""
    info = bytearray(_INFO.pack(_INFO_EXIT, *(0,) * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info, True)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(info)
    return int(status) if mask & _INFO_EXIT else None


def exit_code(status: int) -> int:
    """Return the exit code of a wait status as shells and Docker tell it: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def stat_of(pid: int, proc: Path = PROC) -> tuple[str, int] | None:
    """Return a process's state and when it started, in clock ticks after boot.

    They are fields 3 and 22 of proc_pid_stat(5); None where there is no such process.
    """
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def is_over(pidfd: int) -> bool:
    """Whether a process has ended, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def kernel_tells() -> bool:
    """Whether this kernel tells exit statuses: tried with a process that ends with 7."""
    with subprocess.Popen(["/bin/sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE) as child:
        pidfd = os.pidfd_open(child.pid)
        try:
            child.communicate(b"\n")
            return exit_status(pidfd) == 7 << 8
        finally:
            os.close(pidfd)
