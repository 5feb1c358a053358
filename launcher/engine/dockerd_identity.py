"""Identifies the running dockerd by pid and start time. A dockerd restart loses exit codes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from launcher.dockerd import PROC, dockerd_pid
from launcher.pidfd import stat_of


@dataclass(frozen=True, slots=True)
class DockerdIdentity:
    """One run of dockerd; the start time distinguishes it from other processes of that pid.

    ``ticks`` are clock ticks after boot; ``started_at`` is seconds since 1970 by the current clock,
    which may be set. ``live_restore``: whether containers run on while dockerd is down.
    """

    pid: int
    ticks: int
    started_at: float = field(compare=False)
    live_restore: bool = field(default=True, compare=False)

    def is_over(self, proc: Path = PROC) -> bool:
        """Whether this dockerd has ended, reaped or not."""
        return _start_ticks(proc, self.pid) != self.ticks


def incarnation(host: str, timeout: float, proc: Path = PROC) -> DockerdIdentity | None:
    """Return the dockerd behind a unix socket, None if the kernel does not reveal it.

    Raises ``OSError`` if no process listens.
    """
    pid = dockerd_pid(host, timeout, proc)
    ticks = None if pid is None else _start_ticks(proc, pid)
    if pid is None or ticks is None:
        return None
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return DockerdIdentity(pid, ticks, booted + since_boot)


def _start_ticks(proc: Path, pid: int) -> int | None:
    """Return when a live process started, in clock ticks after boot."""
    stat = stat_of(pid, proc)
    return None if stat is None or stat[0] in "ZX" else stat[1]
