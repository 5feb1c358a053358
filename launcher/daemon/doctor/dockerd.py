"""The dockerd behind a socket: its process, and its own PATH, where it looks for NVIDIA's hook."""

from __future__ import annotations

import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from launcher.daemon.doctor.tools import SYSTEM_FOLDERS

HOOK = "nvidia-container-runtime-hook"
CONNECT_SECONDS = 2.0
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Hook:
    """Where Docker finds the hook, None if nowhere.

    Not ``certain``: dockerd's PATH could not be read, this was looked for in the usual folders.
    """

    path: str | None
    certain: bool


def hook_of(docker_host: str, proc: Path = Path("/proc"), usual: str = SYSTEM_FOLDERS) -> Hook:
    """Return the hook as the dockerd on this socket finds it."""
    pid = dockerd_pid(docker_host, proc)
    folders = None if pid is None else path_of(pid, proc)
    if folders is None:
        return Hook(shutil.which(HOOK, path=usual), certain=False)
    return Hook(shutil.which(HOOK, path=folders), certain=True)


def dockerd_pid(docker_host: str, proc: Path = Path("/proc")) -> int | None:
    """Return the pid of the dockerd on this socket, None where it cannot be told.

    The kernel names who made the socket: dockerd, or systemd on its behalf; then the one dockerd of
    the machine is meant.
    """
    peer = _peer(docker_host.removeprefix("unix://"))
    if peer is not None and _command(peer, proc) == "dockerd":
        return peer
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    found = [pid for pid in pids if _command(pid, proc) == "dockerd"]
    return found[0] if len(found) == 1 else None


def path_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the PATH of a process, empty where it has none, None where it is not ours to read."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    for entry in raw.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"PATH":
            return value.decode(errors="surrogateescape")
    return ""


def _peer(path: str) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(CONNECT_SECONDS)
        try:
            client.connect(path)
            raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return None
    pid = int(_UCRED.unpack(raw)[0])
    return pid or None


def _command(pid: int, proc: Path) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
