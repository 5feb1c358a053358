"""Which dockerd answers: its process and when that began. A restart of dockerd loses exit codes."""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

_UCRED = struct.Struct("3i")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of dockerd: its process, told from others of that pid by its start.

    ``ticks`` are clock ticks after boot; ``started_at`` is seconds since 1970 by the clock of now,
    which may be set. ``live_restore``: whether containers run on while it is away.
    """

    pid: int
    ticks: int
    started_at: float = field(compare=False)
    live_restore: bool = field(default=True, compare=False)


def incarnation(host: str, timeout: float, proc: Path = PROC) -> Incarnation | None:
    """Return the dockerd behind a unix socket, None where the kernel does not tell which it is.

    Raises ``OSError`` while nobody listens.
    """
    pid = dockerd_pid(host, timeout, proc)
    ticks = None if pid is None else _start_ticks(proc, pid)
    if pid is None or ticks is None:
        return None
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return Incarnation(pid, ticks, booted + since_boot)


def dockerd_pid(host: str, timeout: float, proc: Path = PROC) -> int | None:
    """Return the pid of the dockerd behind a unix socket, None where it cannot be told.

    The kernel names who made the socket: dockerd, or systemd on its behalf (``-H fd://``); then the
    one dockerd of the machine is meant. Raises ``OSError`` while nobody listens.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        peer.connect(host.removeprefix("unix://"))
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid: int = _UCRED.unpack(raw)[0]
    name = _name(proc, pid)
    if name == "dockerd":
        return pid
    if name != "systemd":  # a proxy, or a process that we do not see: any dockerd may be behind it
        return None
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    found = [each for each in pids if _name(proc, each) == "dockerd"]
    return found[0] if len(found) == 1 else None


def _name(proc: Path, pid: int) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return None


def _start_ticks(proc: Path, pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat (proc(5)): the start in clock ticks after boot."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
