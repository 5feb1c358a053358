"""Free disk space: submits are refused before the disk is full, so that jobs can still end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from launcher.config.settings import Config
from launcher.daemon.loop.threads import in_thread
from launcher.errors import ReadOnlyState

MIB = 2**20
PATIENCE_SECONDS = 0.005
"""A reader waits this long for the disk if there is an older figure."""


def lack_of_space(config: Config) -> str | None:
    """Return why the state directory has no space for more jobs, None if it has."""
    reserve = config.disk_reserve_mib
    if not reserve:
        return None
    try:
        result = os.statvfs(config.state_dir)
    except OSError:
        return None  # the writer's own error is clearer
    free = result.f_bavail * result.f_frsize
    if free >= reserve * MIB:
        return None
    return (
        f"{config.state_dir} has only {free // MIB} MiB free: jobs go on, but submits are "
        f"refused below {reserve} MiB"
    )


def must_have_room(config: Config) -> None:
    """Raise ``ReadOnlyState`` if a submit would take the space that running jobs need."""
    if (why := lack_of_space(config)) is not None:
        fix = "Free some space, or lower disk_reserve_mib in launcher.toml."
        raise ReadOnlyState(why, fix=fix)


class DiskFree:
    """The free and total space of a directory's file system; the last known while it hangs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: tuple[int, int] | None = None
        self._reading: asyncio.Task[tuple[int, int] | None] | None = None

    async def now(self) -> tuple[int, int] | None:
        """Return (free, total) in bytes, None if unknown; free is what the daemon may use."""
        reading = self._reading
        if reading is None or reading.done():
            reading = self._reading = asyncio.create_task(in_thread("disk", self._read))
        done, _ = await asyncio.wait((reading,), timeout=PATIENCE_SECONDS)
        if done:
            self._known = reading.result()
        return self._known

    def _read(self) -> tuple[int, int] | None:
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
