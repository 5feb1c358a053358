"""One daemon per GPU on the machine: a lock that is released when its holder ends."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import Unavailable


@dataclass(slots=True)
class GpuClaim:
    """The right to lease a GPU's slices, held until ``release`` or the end of the process."""

    gpu_uuid: str
    path: Path
    _fd: int = field(repr=False)

    def release(self) -> None:
        """Release the GPU; repeatable. The lock file stays: removing it would let two processes
        lock two files of the same name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def claim(gpu_uuid: str, directory: Path, *, store: str) -> GpuClaim:
    """Claim a GPU by its lock file in ``directory``.

    The file names the holder (pid and ``store``) for people, and for the error of a later claim.
    Unavailable: another process holds it, or the directory cannot be written.
    """
    path = directory / f"{gpu_uuid}.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Unavailable(
            f"cannot claim {gpu_uuid}: {path}: {error.strerror}",
            fix="Run the daemon as root, or allow it to write there.",
        ) from None
    held = _lock(fd, gpu_uuid, path)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "store": store}).encode(), 0)
    except OSError as error:
        held.release()
        raise Unavailable(
            f"cannot claim {gpu_uuid}: {path}: {error.strerror}",
            fix="Free some space in that directory.",
        ) from None
    return held


def claim_device(gpu_uuid: str, node: Path) -> GpuClaim:
    """Claim a GPU by a lock on its device node: for a per-user daemon, which may not write a lock
    file that all users share. Unavailable: held by another process, or the node cannot be opened.
    """
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(
            f"cannot claim {gpu_uuid}: {node}: {error.strerror}",
            fix="The user needs read access to the GPU's device node.",
        ) from None
    return _lock(fd, gpu_uuid, node)


def _lock(fd: int, gpu_uuid: str, path: Path) -> GpuClaim:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(fd)
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise Unavailable(f"cannot claim {gpu_uuid}: {path}: {error.strerror}") from None
        raise Unavailable(
            f"{gpu_uuid} is claimed by another launcher daemon{holder}",
            fix="One daemon leases a GPU at a time: use that one, or stop it first.",
        ) from None
    return GpuClaim(gpu_uuid, path, fd)


def _holder(fd: int) -> str:
    """Return `` (pid 12, store x)``, or the known part of it.

    /proc/locks has the pid of a lock on any file; the lock file itself has pid and store.
    """
    pid, store = _pid_of_lock(fd), ""
    try:
        written = json.loads(os.pread(fd, 4096, 0))
        pid, store = pid or written["pid"], f", store {written['store']}"
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a device node, or a holder that has not written yet
    return f" (pid {pid}{store})" if pid else ""


def _pid_of_lock(fd: int) -> int | None:
    status = os.fstat(fd)
    file_id = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if "FLOCK" in fields and file_id in fields:
            pid = fields[fields.index(file_id) - 1]
            return int(pid) if pid.isdigit() and pid != "0" else None
    return None
