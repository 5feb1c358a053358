"""A new database in place of a damaged one, which is set aside and never deleted."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from launcher.core.job import Job
from launcher.core.rebuild import Restored
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME, cannot
from launcher.store.pages import Pages
from launcher.store.reader import Reader
from launcher.store.salvage import MOST_LOOKS, Salvage, Salvaged
from launcher.store.store import Store

WORK = "rebuilding"
ASIDE = f"{FILE_NAME}.damaged-"
BESIDE = ("", "-wal", "-shm")
BLOCK = 4096
MARGIN = 1000
"""Where nothing tells how far ids went, so many are left out: nobody may get one twice."""


class Rebuilding:
    """The work on one state directory, locked meanwhile; left as it was unless ``finish`` ran."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._work = directory, directory / WORK
        self._lock = statedir.lock(directory)
        self.source = _source(directory)
        self.salvaged = Salvaged(whole=False)
        self.store: Store
        self._last = 0

    def __enter__(self) -> Rebuilding:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self._work, ignore_errors=True)
        os.close(self._lock)

    def store_id(self) -> str | None:
        """Return the id that the store had, from the file beside it or from the database."""
        remembered = statedir.remembered_id(self.directory)
        if remembered is not None or self.source is None:
            return remembered
        with self._copied() as copy:
            return _id_in(copy)

    def salvage(self, store_id: str) -> Salvaged:
        """Make a new store and copy what can be read into it; raises ``StateDirError``."""
        shutil.rmtree(self._work, ignore_errors=True)
        self.store = Store.open(self._work, store_id)
        if self.source is not None:
            with self._copied() as copy:
                self.salvaged = Salvage(copy, self.store._db).run()
        return self.salvaged

    @contextlib.contextmanager
    def _copied(self) -> Iterator[Path]:
        """Yield a copy: SQLite may write to what it opens."""
        assert self.source is not None, "there is a file"
        place = self._work.with_name(f"{WORK}-copy")
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir(mode=0o700)
            for beside in ("", "-wal"):
                file = self.source.with_name(f"{self.source.name}{beside}")
                if file.exists():
                    copy_readable(file, place / f"{FILE_NAME}{beside}")
            yield place / FILE_NAME
        except OSError as error:
            raise cannot(f"copy {self.source}", error) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def ended(self, job_id: int) -> Job | None:
        """Return a job of the new store that is over."""
        reader = Reader(self._work)
        try:
            found = reader.job(job_id)
        finally:
            reader.close()
        return found if found is not None and found.outcome is not None else None

    def missing(self) -> list[int]:
        """Return the ids below the highest that was seen of which nothing is left."""
        rows = self.store._db.execute("SELECT id FROM jobs UNION SELECT id FROM arrays")
        kept = {row[0] for row in rows}
        seen = min(self.salvaged.highest, MOST_LOOKS)
        return [number for number in range(1, seen + 1) if number not in kept]

    def begin_ids_after(self, highest: int) -> int:
        """Never give out an id up to ``highest`` again; returns the next one."""
        ceiling = statedir.id_ceiling(self.directory)
        last = max(highest, self.salvaged.highest, ceiling)
        if not (ceiling or self.salvaged.whole):
            last += MARGIN
        self.store._db.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        self.store._db.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (last,)
        )
        self._last = last
        return last + 1

    def finish(self, report: str) -> Path | None:
        """Set the damaged file aside and put the new one in its place; returns the former."""
        store_id = self.store.id
        self.store.close()  # which writes its log into the file
        del self.store
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.directory / f"{ASIDE}{stamp}"
        statedir.remember_id(self.directory, store_id)
        (self.directory / f"{ASIDE}{stamp}.report").write_text(report, "utf-8")
        for beside in BESIDE:
            file = self.directory / f"{FILE_NAME}{beside}"
            if file.exists():
                file.rename(f"{aside}{beside}")
        statedir.raise_ceiling(self.directory, self._last)
        (self._work / FILE_NAME).rename(self.directory / FILE_NAME)
        statedir.sync(self.directory)
        return aside if aside.exists() else None


@dataclass(frozen=True, slots=True)
class Told:
    """What a rebuild did, in sentences for people."""

    salvaged: Salvaged
    restored: Restored
    next_id: int
    missing: list[int]
    """The ids of which nothing is left."""

    def lines(self) -> list[str]:
        """Return one sentence a line."""
        read, back = self.salvaged, self.restored
        whole = "all of it" if read.whole else "as far as it could be read"
        jobs = read.counts.get("jobs", 0)
        lines = [f"read {jobs} jobs from the damaged database ({whole})"]
        lines += [f"could not use {n} rows of {table}" for table, n in read.left.items()]
        named = (
            ("run on, from their containers", back.running),
            ("ended, their containers tell how", back.ended),
            ("were just being started and go on", back.starting),
            ("had begun and have no container: LOST", back.lost),
        )
        lines += [f"jobs that {what}: {_few(ids)}" for what, ids in named if ids]
        lines += [f"{len(back.waiting)} jobs wait", *back.doubts]
        if read.unasked:
            lines.append(
                f"of {read.unasked} elements of arrays the request is lost: those that run go on, "
                "those that wait fail when they are started; submit them again"
            )
        if self.missing:
            lines.append(f"of these ids nothing is left: {_few(self.missing)}")
        return [*lines, f"the next job is {self.next_id}"]


def copy_readable(
    source: Path, target: Path, pread: Callable[[int, int, int], bytes] = os.pread
) -> int:
    """Copy a file; blocks that the disk cannot read become zeros. Returns how many those are."""
    bad = 0
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with target.open("wb") as out:
            for at in range(0, os.fstat(fd).st_size, BLOCK):
                try:
                    out.write(pread(fd, BLOCK, at))
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    bad += 1
                    out.write(bytes(BLOCK))
    finally:
        os.close(fd)
    return bad


def _few(ids: list[int]) -> str:
    shown = ", ".join(map(str, sorted(ids)[:20]))
    return shown if len(ids) <= 20 else f"{shown} and {len(ids) - 20} more"


def _source(directory: Path) -> Path | None:
    """Return the file to read: the database, or the one set aside last where there is none."""
    present = directory / FILE_NAME
    if present.is_file() and present.stat().st_size:
        return present
    aside = [p for p in directory.glob(f"{ASIDE}*Z") if p.is_file()]
    return max(aside, default=None)


def _id_in(copy: Path) -> str | None:
    with contextlib.suppress(sqlite3.Error, UnicodeError):
        connection = sqlite3.connect(copy)
        try:
            row = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
            return str(row[0]) if row else None
        finally:
            connection.close()
    for _, values in Pages(copy, copy.with_name(f"{copy.name}-wal")).rows():
        if len(values) == 2 and values[0] == "store" and isinstance(values[1], str):
            return values[1]
    return None
