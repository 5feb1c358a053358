"""The users of a GPU: processes that NVML shows, and those that have its device node open."""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CONTAINER = re.compile(r"([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process in the way; fields that cannot be read are empty."""

    pid: int
    user: str = ""
    command: str = ""
    container: str = ""

    def __str__(self) -> str:
        description = f"process {self.pid}"
        description += f" of {self.user}" if self.user else ""
        description += f" ({self.command})" if self.command else ""
        return description + (f" in container {self.container}" if self.container else "")


def holders_of(
    pids: Iterable[int], minor: int | None, proc: Path = Path("/proc"), dev: Path = Path("/dev")
) -> list[Holder]:
    """Return the named processes and those that have /dev/nvidia<minor> open, each once."""
    holders = set(pids)
    if minor is not None:
        holders |= set(_with_open(dev / f"nvidia{minor}", proc))
    return [describe(pid, proc) for pid in sorted(holders)]


def _with_open(node: Path, proc: Path) -> Iterable[int]:
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            links = [fd.readlink() for fd in (entry / "fd").iterdir()]
        except OSError:
            continue  # it ended, or may not be inspected
        if node in links:
            yield int(entry.name)


def describe(pid: int, proc: Path = Path("/proc")) -> Holder:
    """Return the available data of a process."""
    place = proc / str(pid)
    try:
        user = _user(place.stat().st_uid)
        command = (place / "comm").read_text("utf-8", "replace").strip()
        inside = _CONTAINER.search((place / "cgroup").read_text("utf-8", "replace"))
    except OSError:
        return Holder(pid)
    return Holder(pid, user, command, inside[1][:12] if inside else "")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
