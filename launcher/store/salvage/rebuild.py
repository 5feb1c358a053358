"""A new database in place of a damaged one, which is set aside and never deleted."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.core.model.job import Job
from launcher.core.recovery.rebuild import RebuiltJobs
from launcher.indices import few
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME, cannot
from launcher.store.reader import Reader
from launcher.store.salvage.pages import Pages
from launcher.store.salvage.replacing import Replacing
from launcher.store.salvage.salvage import Salvage, Salvaged
from launcher.store.store import Store

WORK = "rebuilding"
ASIDE = f"{FILE_NAME}.damaged-"
BLOCK = 4096
MOST_LOOKS = 1_000_000
MARGIN = 1000
"""If the highest id is unknown, this many are skipped, so that none is assigned twice."""


class Rebuilding(Replacing):
    """The rebuild of the damaged database of one state directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, WORK, ASIDE)
        self.source = _source(directory)
        self.salvaged = Salvaged(whole=False)

    def store_id(self) -> str | None:
        """Return the store's former id, from the file beside the database or from the database."""
        remembered = statedir.remembered_id(self.directory)
        if remembered is not None or self.source is None:
            return remembered
        with self._copied() as copy:
            return _id_in(copy)

    def salvage(self, store_id: str) -> Salvaged:
        """Create a new store and copy everything readable into it; raises ``StateDirError``."""
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
            job = reader.job(job_id)
        finally:
            reader.close()
        return job if job is not None and job.outcome is not None else None

    def missing(self) -> list[int]:
        """Return the ids below the highest seen one that have no data left, although they were
        not pruned."""
        db = self.store._db
        known_ids = {
            row[0] for row in db.execute("SELECT id FROM jobs UNION SELECT id FROM arrays")
        }
        for first, last in db.execute("SELECT first, last FROM pruned"):
            known_ids.update(range(first, min(last, MOST_LOOKS) + 1))
        seen = min(self.salvaged.highest, MOST_LOOKS)
        return [number for number in range(1, seen + 1) if number not in known_ids]

    def next_id_after(self, highest: int) -> int:
        """Never assign an id up to ``highest`` again; returns the next one."""
        ceiling = statedir.id_ceiling(self.directory)
        last = max(highest, self.salvaged.highest, ceiling)
        if not (ceiling or self.salvaged.whole):
            last += MARGIN
        return self.start_ids_after(last)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """The result of a rebuild, in sentences for people."""

    salvaged: Salvaged
    restored: RebuiltJobs
    next_id: int
    missing: list[int]
    """The ids that have no data left."""

    def lines(self) -> list[str]:
        """Return the result, one sentence per line."""
        read, back = self.salvaged, self.restored
        whole = "all of it" if read.whole else "as far as it could be read"
        jobs = read.counts.get("jobs", 0)
        lines = [f"read {jobs} jobs from the damaged database ({whole})"]
        lines += [f"could not use {n} rows of {table}" for table, n in read.left.items()]
        named = (
            ("run on, from their containers", back.running),
            ("ended, their containers tell how", back.ended),
            ("were just being started and go on", back.starting),
            ("had started and have no container: LOST", back.lost),
        )
        lines += [f"jobs that {fate}: {few(ids)}" for fate, ids in named if ids]
        lines += [f"{len(back.waiting)} jobs wait", *back.doubts]
        if read.unasked:
            lines.append(
                f"of {read.unasked} elements of arrays the request is lost: those that run go on, "
                "those that wait fail when they are started; submit them again"
            )
        if self.missing:
            lines.append(f"of these ids nothing is left: {few(self.missing)}")
        return [*lines, f"the next job is {self.next_id}"]


def copy_readable(
    source: Path, target: Path, pread: Callable[[int, int, int], bytes] = os.pread
) -> int:
    """Copy a file; unreadable blocks become zeros. Returns their number."""
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


def _source(directory: Path) -> Path | None:
    """Return the file to read: the database, or if there is none, the last one set aside."""
    present = directory / FILE_NAME
    if present.is_file() and present.stat().st_size:
        return present
    aside = [p for p in directory.glob(f"{ASIDE}*Z") if p.is_file()]
    return max(aside, default=None)


def _id_in(copy: Path) -> str | None:
    for _, values in Pages(copy, copy.with_name(f"{copy.name}-wal")).rows():
        if len(values) == 2 and values[0] == "store" and isinstance(values[1], str):
            return values[1]
    return None
