"""What the processes of a cgroup have used: memory, CPU time, traffic of block devices.

Both versions are read (kernel: admin-guide/cgroup-v2.rst; cgroup-v1/memory.rst, cpuacct.rst and
blkio-controller.rst). On hybrid systems each controller is in one of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CGROUPS = Path("/sys/fs/cgroup")
DEVICES = Path("/sys/dev/block")
MOST_BYTES = 64 * 1024
"""A longer file is not read to its end: io.stat has about 100 bytes for each block device."""
_LINE = re.compile(rb"^(\d+:\d+) (.*)$", re.MULTILINE)
_V2_IO = re.compile(rb"\b([rw])bytes=(\d+)")
_V1_IO = re.compile(rb"^(Read|Write) (\d+)$")

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """Totals since the cgroup was created; each is None if it is unknown."""

    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None

    def most(self, other: CgroupUsage) -> CgroupUsage:
        """Return the higher of each two values: the totals grow only."""
        return CgroupUsage(
            _most(self.memory_peak_bytes, other.memory_peak_bytes),
            _most(self.cpu_seconds, other.cpu_seconds),
            _most(self.read_bytes, other.read_bytes),
            _most(self.written_bytes, other.written_bytes),
        )


NO_USAGE = CgroupUsage()


def _most(one: Number | None, other: Number | None) -> Number | None:
    return other if one is None else one if other is None else max(one, other)


@dataclass(frozen=True, slots=True)
class UsageFiles:
    """The files that have a cgroup's totals; None for what this system does not count."""

    memory: Path | None = None
    cpu: Path | None = None
    io: Path | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> UsageFiles:
        """Return the files of a cgroup of version 2."""
        return cls(
            _first(folder / "memory.peak", folder / "memory.current"),
            _first(folder / "cpu.stat"),
            _first(folder / "io.stat"),
        )

    @classmethod
    def of_paths(cls, paths: Mapping[str, str], root: Path = CGROUPS) -> UsageFiles:
        """Return the files of the cgroups with these paths, see ``paths_of_container``."""
        unified = cls.of_folder(root / paths[""]) if "" in paths else cls()

        def file(controller: str, name: str) -> Path | None:
            path = paths.get(controller)
            return None if path is None else _first(root / controller / path / name)

        return cls(
            file("memory", "memory.max_usage_in_bytes") or unified.memory,
            file("cpuacct", "cpuacct.usage") or unified.cpu,
            file("blkio", "blkio.throttle.io_service_bytes_recursive") or unified.io,
        )

    @property
    def keeps_peak(self) -> bool:
        """Whether the kernel records the peak of memory: version 2 does since Linux 5.19."""
        return self.memory is None or self.memory.name != "memory.current"

    def read(self) -> CgroupUsage:
        """Return the totals now; what cannot be read, as once the cgroup is gone, is unknown."""
        read, written = _traffic(_content(self.io))
        return CgroupUsage(_number(_content(self.memory)), self._cpu_seconds(), read, written)

    def _cpu_seconds(self) -> float | None:
        content = _content(self.cpu)
        if content is None or self.cpu is None:
            return None
        if self.cpu.name == "cpuacct.usage":
            nanoseconds = _number(content)
            return None if nanoseconds is None else nanoseconds / 1e9
        match = re.search(rb"^usage_usec (\d+)$", content, re.MULTILINE)
        return None if match is None else int(match[1]) / 1e6


def _first(*files: Path) -> Path | None:
    return next((file for file in files if file.exists()), None)


def _content(file: Path | None) -> bytes | None:
    """Return the start of a file, None if it cannot be read."""
    if file is None:
        return None
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(fd)


def _number(content: bytes | None) -> int | None:
    text = (content or b"").strip()
    return int(text) if text.isdigit() else None


def _traffic(content: bytes | None) -> tuple[int | None, int | None]:
    """Return the bytes read and written, of all devices together.

    A device that stands on others (LVM, RAID) is left out: the kernel counts its traffic again
    for those.
    """
    if content is None:
        return None, None
    totals = {b"r": 0, b"w": 0}
    for device, rest in _LINE.findall(content):
        found = _V2_IO.findall(rest) or _V1_IO.findall(rest)
        if any(int(size) for _, size in found) and not _is_stacked(device.decode()):
            for kind, size in found:
                totals[kind[:1].lower()] += int(size)
    return totals[b"r"], totals[b"w"]


def _is_stacked(device: str) -> bool:
    """Whether a block device (``253:0``) stands on other block devices."""
    try:
        return any((DEVICES / device / "slaves").iterdir())
    except OSError:
        return False
