"""Programs that constantly read every GPU, such as dcgm, do not count as users of a slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.core.model.ids import LABEL_STORE
from launcher.gpu import GpuProcess
from launcher.imageref import last_name, split

FIRST_USER = 1000
"""Lower uids belong to the system (login.defs, UID_MIN)."""
COMM_LENGTH = 15
"""The kernel keeps this many bytes of a program's name in /proc/PID/comm."""


class ForeignAllowlist:
    """``names`` are those of processes (comm or program), containers, or image repositories."""

    def __init__(self, names: Sequence[str] = (), proc: Path = Path("/proc")) -> None:
        self._names, self._proc = frozenset(names), proc
        self._short = frozenset(name[:COMM_LENGTH] for name in names)
        self._containers: frozenset[str] = frozenset()

    def note(self, running: Iterable[Mapping[str, Any]]) -> None:
        """Remember which of the running containers are allowed, with all processes in them."""
        self._containers = frozenset(c["Id"] for c in running if self.container(c))

    def container(self, listed: Mapping[str, Any]) -> bool:
        """Whether a container, as listed by Docker, is allowed; a launcher's never is."""
        if LABEL_STORE in (listed.get("Labels") or {}):
            return False
        repository = split(str(listed.get("Image") or "").partition("@")[0])[0]
        names = {name.lstrip("/") for name in listed.get("Names") or ()}
        return bool((names | {last_name(repository), repository}) & self._names)

    def others(self, gpu_processes: Iterable[GpuProcess]) -> list[GpuProcess]:
        """Return those of the processes that use a slice."""
        return [process for process in gpu_processes if not self.process(process.pid)]

    def process(self, pid: int) -> bool:
        """Whether a process is allowed; a process that cannot be inspected is not.

        A name is only trusted for a process of the system: any user can name a program freely.
        """
        place = self._proc / str(pid)
        try:
            if self._containers:
                group = (place / "cgroup").read_text()
                if any(container in group for container in self._containers):
                    return True
            if place.stat().st_uid >= FIRST_USER:
                return False
            if self._short and (place / "comm").read_text().strip() in self._short:
                return True
            return (place / "exe").readlink().name in self._names
        except (OSError, UnicodeDecodeError):
            return False


NOBODY = ForeignAllowlist()
