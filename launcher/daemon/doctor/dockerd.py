"""The dockerd behind a socket: its own PATH, where it looks for NVIDIA's hook."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from launcher.daemon.machine.tools import SYSTEM_FOLDERS
from launcher.dockerd import dockerd_pid

HOOK = "nvidia-container-runtime-hook"
CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class HookBinary:
    """Where Docker finds the hook, None if nowhere.

    Not ``certain``: dockerd's PATH could not be read; the usual folders were searched.
    """

    path: str | None
    certain: bool


def hook_of(
    docker_host: str, proc: Path = Path("/proc"), usual: str = SYSTEM_FOLDERS
) -> HookBinary:
    """Return the hook as the dockerd on this socket finds it."""
    pid = None
    with contextlib.suppress(OSError):
        pid = dockerd_pid(docker_host, CONNECT_SECONDS, proc)
    folders = None if pid is None else path_of(pid, proc)
    if folders is not None and os.access(root := proc / str(pid) / "root", os.X_OK):
        return HookBinary(_found(root, folders), certain=True)
    return HookBinary(shutil.which(HOOK, path=usual), certain=False)


def _found(root: Path, folders: str) -> str | None:
    """Return the hook on the PATH of a process with another root, such as the host's.

    Links are not followed, because they may be absolute.
    """
    for folder in filter(None, folders.split(":")):
        place = root / folder.lstrip("/") / HOOK
        if place.is_symlink() or os.access(place, os.X_OK):
            return f"{folder}/{HOOK}"
    return None


def path_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the PATH of a process, empty if it has none, None if it cannot be read."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    for entry in raw.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"PATH":
            return value.decode(errors="surrogateescape")
    return ""
