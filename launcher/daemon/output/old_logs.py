"""Log files by age: finds and deletes old ones, and those of deleted jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from launcher.daemon.loop.threads import in_thread
from launcher.output.log_file import folder_of

_NAME = re.compile(r"(\d{1,15})\.(\d{1,9})\.log", re.ASCII)
STEP_SECONDS = 600
"""The precision of ages when the oldest logs have to be deleted."""
STRAY_SECONDS = 86400.0
"""The log of a job that is not on record is deleted after this time."""

Owners = Callable[[int, int], Awaitable[Mapping[int, int]]]
"""Returns the uids of the jobs with these ids, from the first to the last."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """The log of one attempt; ``written`` is when it was written last (seconds since 1970)."""

    path: Path
    job: int
    attempt: int
    size: int
    written: float


@dataclass(slots=True)
class Deleted:
    """How many logs were deleted, or would be, and their bytes."""

    files: int = 0
    bytes: int = 0


class OldLogs:
    """Deletes logs, one folder at a time in a thread. The logs of unfinished jobs stay."""

    def __init__(self, directory: Path, owners: Owners, is_live: Callable[[int], bool]) -> None:
        self._directory, self._owners, self._is_live = directory, owners, is_live

    async def cutoff(self, most: int) -> float:
        """Return the time before which logs must be deleted to leave at most ``most`` bytes."""
        sizes: Counter[int] = Counter()
        for folder in await in_thread("logs", partial(folders, self._directory)):
            for file in await in_thread("logs", partial(logs_in, folder)):
                sizes[int(file.written // STEP_SECONDS)] += file.size
        left, cutoff = sizes.total(), 0.0
        for step in sorted(sizes):
            if left <= most:
                break
            left -= sizes[step]
            cutoff = (step + 1) * STEP_SECONDS
        return cutoff

    async def delete(
        self, before: float, now: float, uid: int | None = None, *, dry_run: bool = False
    ) -> Deleted:
        """Delete the logs that were last written before a time, of one user or of all.

        Of all: also logs whose job is not on record.
        """
        deleted = Deleted()
        for folder in await in_thread("logs", partial(folders, self._directory)):
            files = await in_thread("logs", partial(logs_in, folder))
            files = [file for file in files if not self._is_live(file.job)]
            if not files:
                continue
            jobs = [file.job for file in files]
            owners = await self._owners(min(jobs), max(jobs))
            going = [file for file in files if _goes(file, owners, uid, before, now)]
            deleted.files += len(going)
            deleted.bytes += sum(file.size for file in going)
            if not dry_run:
                await in_thread("logs", partial(_unlink, going))
        return deleted

    async def delete_of(self, jobs: Collection[int]) -> None:
        """Delete the logs of jobs that are no longer on record."""
        wanted = set(jobs)
        for folder in {folder_of(self._directory, job) for job in wanted}:
            files = await in_thread("logs", partial(logs_in, folder))
            await in_thread("logs", partial(_unlink, [f for f in files if f.job in wanted]))
            await asyncio.sleep(0)


def _goes(
    file: LogFile, owners: Mapping[int, int], uid: int | None, before: float, now: float
) -> bool:
    owner = owners.get(file.job)
    if owner is None:
        return uid is None and file.written < now - STRAY_SECONDS
    return file.written < before and uid in (None, owner)


def folders(directory: Path) -> list[Path]:
    """Return the folders of logs, those of the oldest jobs first."""
    with contextlib.suppress(FileNotFoundError):
        paths = [
            folder for folder in directory.iterdir() if folder.name.isdecimal() and folder.is_dir()
        ]
        return sorted(paths, key=lambda folder: int(folder.name))
    return []


def limit_path(path: Path) -> Path:
    """Return the path of the file with a log's own size limit, if it has one."""
    return path.with_suffix(".limit")


def logs_in(folder: Path) -> list[LogFile]:
    """Return the logs in a folder."""
    log_files: list[LogFile] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is None:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                path, job, attempt = Path(entry.path), int(name[1]), int(name[2])
                log_files.append(LogFile(path, job, attempt, status.st_size, status.st_mtime))
    return log_files


def _unlink(files: Collection[LogFile]) -> None:
    """Delete files, but not their folders: a log may be about to be created in one."""
    for file in files:
        file.path.unlink(missing_ok=True)
        limit_path(file.path).unlink(missing_ok=True)
