"""Host jobs in the helper, and a record of each on disk for the next helper."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher import pidfd
from launcher.host.cgroup import Cgroup
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage, UsageFiles

MOST_JOBS = 4096
_STORE = re.compile(r"[a-z0-9]{1,16}")
_NAME = re.compile(r"host-[a-z0-9]{1,16}-\d{1,19}-\d{1,10}")


def is_name(name: str) -> bool:
    """Whether this can be the name of a host job."""
    return _NAME.fullmatch(name) is not None


def checked(name: object) -> str:
    """Return a job's name; raises ``ValueError`` for one that could be another path."""
    if not isinstance(name, str) or not is_name(name):
        raise ValueError(f"{str(name)[:80]!r} is not the name of a host job")
    return name


def prefix_of(store: object) -> str:
    """Return the prefix of the names of a store's jobs; raises ``ValueError``."""
    if not isinstance(store, str) or _STORE.fullmatch(store) is None:
        raise ValueError(f"{str(store)[:80]!r} is not the id of a store")
    return f"host-{store}-"


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks after boot; 0 if it does not exist."""
    stat = pidfd.stat_of(pid)
    return 0 if stat is None else stat[1]


@dataclass(slots=True)
class HostJob:
    """One process tree. ``pid`` is its main process, whose wait status counts; 0 before its start.

    ``pidfd`` is -1 once the main process has ended. ``events`` is its open cgroup.events, -1 once
    the tree has ended. ``token`` is the one its command joined with. Times are ns since 1970.
    """

    name: str
    uid: int
    cgroup: Cgroup
    pid: int
    ticks: int
    started_ns: int
    token: str = ""
    status: int | None = None
    ended_ns: int | None = None
    oom: bool = False
    usage: CgroupUsage = NO_USAGE
    """The totals of its cgroup when it was last measured."""
    pidfd: int = -1
    events: int = -1
    output: tuple[int, ...] = ()
    """The reading ends of its output: the pipes exist as long as these are open."""
    memory: int = -1
    """Its open memory.events, -1 if none: the cgroup may be gone at the end."""
    is_child: bool = False
    """Whether the helper is the parent, which reaps it."""
    empty_since: float | None = None
    """When the job was first found without a process, in seconds of time.monotonic()."""

    def see_main(self) -> bool:
        """Record the main process's status if available; return whether it is known."""
        if self.status is None and self.pidfd != -1 and pidfd.is_over(self.pidfd):
            if self.is_child:
                self.status = os.waitpid(self.pid, 0)[1]
            else:
                self.status = pidfd.exit_status(self.pidfd)
        return self.status is not None

    def measure(self) -> None:
        """Record what its processes have used until now, unless it has ended."""
        if self.ended_ns is None:
            self.usage = self.usage.most(UsageFiles.of_folder(self.cgroup.path).read())

    def as_reply(self) -> dict[str, Any]:
        """Return the job as the daemon receives it."""
        return {k: v for k, v in self.as_json().items() if k not in ("token", "cgroup")}

    def as_json(self) -> dict[str, Any]:
        """Return the job as it is recorded."""
        return {
            "name": self.name,
            "cgroup": str(self.cgroup.path),
            "uid": self.uid,
            "pid": self.pid,
            "ticks": self.ticks,
            "started_ns": self.started_ns,
            "token": self.token,
            "status": self.status,
            "ended_ns": self.ended_ns,
            "oom": self.oom,
            "usage": asdict(self.usage),
        }


class Records:
    """The records in a directory that a reboot must empty, because cgroups do not survive one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, job: HostJob) -> None:
        """Write a job's record atomically."""
        new = self._directory / f"{job.name}.new"
        new.write_text(json.dumps(job.as_json()))
        new.rename(self._directory / f"{job.name}.json")

    def delete(self, name: str) -> None:
        """Delete a job's record."""
        (self._directory / f"{name}.json").unlink(missing_ok=True)

    def read(self) -> dict[str, HostJob]:
        """Return the recorded jobs; a main process that still runs is held by its pidfd."""
        result = {}
        for path in sorted(self._directory.glob("*.json"))[:MOST_JOBS]:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                job = self._job(json.loads(path.read_text()))
                result[job.name] = job
        return result

    def _job(self, record: dict[str, Any]) -> HostJob:
        name = checked(record.pop("name"))
        usage = CgroupUsage(**record.pop("usage", {}))
        cgroup = Cgroup(Path(record.pop("cgroup")))
        job = HostJob(name, cgroup=cgroup, usage=usage, **record)
        if job.pid and job.status is None and job.ended_ns is None:
            with contextlib.suppress(ProcessLookupError):
                job.pidfd = os.pidfd_open(job.pid)
                if start_ticks(job.pid) != job.ticks:
                    os.close(job.pidfd)
                    job.pidfd = -1
        return job
