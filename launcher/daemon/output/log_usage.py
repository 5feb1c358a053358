"""The disk space of each user's logs: cached in memory, corrected by walks and finished logs.

A user above the quota ``log_bytes`` can still run jobs. Their logs are then cut at the remaining
space, with a note.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path

from launcher.core.model.job import Owner
from launcher.core.scheduling.quota import LogRoom, log_room
from launcher.core.world.world import World
from launcher.daemon.loop.logging_setup import about
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.output.old_logs import Owners, folders, limit_path, logs_in
from launcher.errors import LauncherError
from launcher.output.log_file import Limit, path_of

log = logging.getLogger(__name__)

LEAST_BYTES = 2**20
"""Guaranteed size of each log: it holds the last output of its job."""
LOOK_SECONDS = 10.0
"""The interval at which logs that are being written are measured."""
WALKS_APART = 360
"""After this many measurements everything is recounted: an admin may have removed old logs."""
MIB, GIB = 2**20, 2**30

Key = tuple[int, int]
"""A job and its attempt."""


class LogUsage:
    """The bytes of logs by uid, and the maximum size of each new log. Thread-safe.

    ``most`` is the maximum of one log in bytes; ``world`` returns the current world.
    """

    def __init__(self, directory: Path, most: int, world: Callable[[], World]) -> None:
        self._directory, self._most, self._world = directory, most, world
        self._lock = threading.Lock()
        self._settled: Counter[int] = Counter()
        self._live: dict[Key, tuple[int, int]] = {}
        """(uid, bytes) of the logs that are being written."""
        self._ended: dict[Key, tuple[int, int]] | None = None
        """(uid, bytes) of the logs that ended during a walk."""
        self._limits: dict[Key, Limit] = {}

    def held(self, uids: Set[int]) -> int:
        """Return the total size of these users' logs."""
        with self._lock:
            live = sum(size for uid, size in self._live.values() if uid in uids)
            return live + sum(self._settled[uid] for uid in uids)

    def begin(self, job: int, attempt: int, owner: Owner, *, admin: bool) -> None:
        """Count a log that will be written, and set its maximum size; once."""
        self.follow(job, attempt, owner.uid)
        if self._stored_limit(job, attempt) is None:
            room = self._room(owner, admin)
            if room is not None and room.left < self._most:
                self._store_limit(job, attempt, self._cut(room))

    def follow(self, job: int, attempt: int, uid: int) -> None:
        """Count a log that is being written."""
        with self._lock:
            self._live.setdefault((job, attempt), (uid, 0))

    def resume(self, job: int, attempt: int) -> None:
        """Count a log that is being written, for a job that has not ended."""
        result = self._world().jobs.get(job)
        if result is not None:
            self.follow(job, attempt, result.owner.uid)

    def limit(self, job: int, attempt: int) -> Limit:
        """Return the maximum size of an attempt's log."""
        return self._stored_limit(job, attempt) or Limit(self._most)

    def _stored_limit(self, job: int, attempt: int) -> Limit | None:
        """Return the limit that was set for a log, also by an earlier daemon."""
        limit = self._limits.get((job, attempt))
        if limit is None:
            path = limit_path(path_of(self._directory, job, attempt))
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                stored = json.loads(path.read_text())
                limit = self._limits[job, attempt] = Limit(int(stored["bytes"]), str(stored["why"]))
        return limit

    def _store_limit(self, job: int, attempt: int, limit: Limit) -> None:
        """Set the limit of a log, also for later daemons."""
        self._limits[job, attempt] = limit
        path = limit_path(path_of(self._directory, job, attempt))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(json.dumps({"bytes": limit.bytes, "why": limit.why}))
        except OSError as error:
            about(log, job, attempt).warning(
                "after a restart its log may be larger than %d bytes: %s", limit.bytes, error
            )

    def end(self, job: int, attempt: int) -> None:
        """Count a finished log; its file is measured."""
        path = path_of(self._directory, job, attempt)
        size = _size(path)
        with contextlib.suppress(OSError):
            limit_path(path).unlink(missing_ok=True)
        with self._lock:
            self._limits.pop((job, attempt), None)
            result = self._live.pop((job, attempt), None)
            if result is not None:
                self._settled[result[0]] += size
                if self._ended is not None:
                    self._ended[job, attempt] = (result[0], size)

    def warning(self, owner: Owner, *, admin: bool) -> str | None:
        """Return the warning for a submitter whose new logs will be cut; None if they will not."""
        room = self._room(owner, admin)
        if room is None or room.left >= self._most:
            return None
        return (
            f"the logs of {room.whose} have {_readable(room.has)} of the quota log_bytes of "
            f"{_readable(room.most)}: new logs are cut at {_readable(self._cut(room).bytes)} until "
            "an admin removes old logs or raises the quota"
        )

    def _room(self, owner: Owner, admin: bool) -> LogRoom | None:
        return log_room(self._world(), owner, self.held, admin=admin)

    def _cut(self, room: LogRoom) -> Limit:
        size = max(LEAST_BYTES, room.left)
        return Limit(
            size,
            f"at its start the logs of {room.whose} had {_readable(room.has)} of the quota "
            f"log_bytes of {_readable(room.most)}, which left it {_readable(size)}; an admin can "
            "remove old logs or raise the quota",
        )

    async def run(self, owners: Owners) -> None:
        """Count everything at intervals, and the logs being written in between."""
        while True:
            try:
                await self.walk(owners)
            except (LauncherError, OSError) as error:
                log.warning("the logs cannot be counted: %s", error)
            for _ in range(WALKS_APART):
                await asyncio.sleep(LOOK_SECONDS)
                if self._live:
                    await in_thread("logs", self.look)

    def look(self) -> None:
        """Measure the logs that are being written."""
        sizes = {key: _size(path_of(self._directory, *key)) for key in list(self._live)}
        with self._lock:
            for key, size in sizes.items():
                if key in self._live:
                    self._live[key] = (self._live[key][0], size)

    async def walk(self, owners: Owners) -> None:
        """Count all logs that are not being written, one folder at a time."""
        totals: Counter[int] = Counter()
        with self._lock:
            self._ended = {}
        for folder in await in_thread("logs", partial(folders, self._directory)):
            sizes = await in_thread("logs", partial(self._sizes, folder))
            if sizes:
                result = await owners(min(sizes), max(sizes))
                for job in sizes.keys() & result.keys():
                    totals[result[job]] += sizes[job]
        with self._lock:
            for uid, size in self._ended.values():
                totals[uid] += size
            self._settled, self._ended = totals, None

    def _sizes(self, folder: Path) -> Counter[int]:
        """Return the bytes of logs by job, without those that are counted elsewhere."""
        sizes: Counter[int] = Counter()
        for file in logs_in(folder):
            key = file.job, file.attempt
            with self._lock:
                counted = key in self._live or key in (self._ended or ())
            if not counted:
                sizes[file.job] += file.size
        return sizes


def _readable(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size // MIB} MiB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
