"""Processes that an earlier run may have left, and their mounts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from launcher.errors import LauncherError
from launcher.procfs import read_lines

POLL_S = 0.02


def command_line(pid: int) -> list[str]:
    """Return a process's arguments, empty if it does not exist (or is a zombie)."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return os.fsdecode(raw).split("\0")[:-1]


def is_running(pid: int, part: str) -> bool:
    """Whether the process runs and has ``part`` in its arguments, because pids are reused."""
    return any(part in argument for argument in command_line(pid))


def with_argument(part: str) -> list[int]:
    """Return the pids of the processes that have ``part`` in their arguments."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and is_running(pid, part)]


def in_cgroup(name: str) -> list[int]:
    """Return the pids of the processes in a cgroup at the root, and below it."""
    result = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            lines = read_lines(entry / "cgroup") if entry.name.isdigit() else []
            if any(f"{line.split(':', 2)[2]}/".startswith(f"/{name}/") for line in lines):
                result.append(int(entry.name))
    return result


def remove_cgroup(name: str, root: Path = Path("/sys/fs/cgroup")) -> None:
    """Remove a cgroup at the root and those below it; of v1, in every hierarchy.

    A killed process may stay in it for some milliseconds.
    """
    end = time.monotonic() + 1.0
    places = {root / name, *root.glob(f"*/{name}")}
    while places := {place for place in places if place.is_dir()}:
        for place in places:
            for folder, _, _ in os.walk(place, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        if time.monotonic() > end:
            return
        time.sleep(POLL_S)


def stop_pid(
    pid: int, how: signal.Signals, patience: float, child: subprocess.Popen[bytes] | None
) -> None:
    """End a process: ``how``, then after ``patience`` seconds SIGKILL; return when it is gone."""
    for sign in (how, signal.SIGKILL):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        if _has_ended(pid, patience, child):
            return
    raise LauncherError(f"process {pid} does not end, even after SIGKILL")


def _has_ended(pid: int, seconds: float, child: subprocess.Popen[bytes] | None) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if child is not None:
            if child.poll() is not None:
                return True
        elif not command_line(pid):
            return True
        time.sleep(POLL_S)
    return False


def unmount_below(root: Path) -> None:
    """Unmount everything mounted below ``root``, deepest first, lazily."""
    lines = read_lines(Path("/proc/self/mountinfo"))
    # Field 5 is the mount point, with octal escapes for spaces and backslashes.
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    below = [point for point in points if point.startswith(f"{root}/")]
    for point in sorted(below, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
