"""Power loss: a database whose log was cut anywhere holds whole commits, and all it acknowledged.

SQLite's write-ahead log is a header and frames of one page each; the last frame of a commit names
the size of the database (sqlite.org/fileformat2.html#walformat). What a disk may lose in a power
cut is the tail that was not synced: the log is cut at every frame, and before and after it.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from launcher.core.invariants import violations
from launcher.core.recovery.reconcile import resume
from launcher.store import Store
from launcher.store.connect import FILE_NAME
from tests.drills.histories import History

HEADER, FRAME_HEADER = 32, 24
WAL = f"{FILE_NAME}-wal"
FULL = 2
"""The value of ``PRAGMA synchronous`` that syncs the log at every commit."""


@dataclass
class Figures:
    """What a drill did; ``failures`` has a sentence for each cut that went wrong."""

    seed: int
    commits: int = 0
    frames: int = 0
    cuts: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"power loss, seed {self.seed}: {self.commits} commits in {self.frames} frames, "
            f"{self.cuts} cuts tried, {len(self.failures)} failed"
        )


@dataclass
class Recorded:
    """A log with what the database held after each acknowledged commit."""

    base: bytes
    wal: bytes
    acknowledged: list[int]
    """The size of the log when the n-th commit returned."""
    contents: list[str]
    """A digest of the tables after n commits."""

    @property
    def frame_bytes(self) -> int:
        """The size of a frame."""
        (page,) = struct.unpack(">I", self.wal[8:12])
        return FRAME_HEADER + (page or 65536)

    def commits_in(self, whole_frames: int) -> int:
        """Return how many commits have all their frames among the first ones."""
        at = (HEADER + n * self.frame_bytes for n in range(whole_frames))
        return sum(struct.unpack(">I", self.wal[a + 4 : a + 8])[0] != 0 for a in at)


def drill(seed: int, commits: int = 36) -> Figures:
    """Make a random history, then cut its log everywhere; returns the figures."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as directory:
        recorded = record(seed, commits, Path(directory) / "state")
        frames = (len(recorded.wal) - HEADER) // recorded.frame_bytes
        figures = Figures(seed, commits, frames)
        for what, wal, whole in cuts(recorded, frames):
            figures.cuts += 1
            copy = Path(directory) / "copy"
            copy.mkdir()
            (copy / FILE_NAME).write_bytes(recorded.base)
            (copy / WAL).write_bytes(wal)
            try:
                wrong = _wrong(copy, recorded, whole)
            except Exception as error:  # whatever it is, the drill goes on and says so
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                figures.failures.append(f"{what}: {wrong}")
            shutil.rmtree(copy)
    return figures


def record(seed: int, commits: int, directory: Path) -> Recorded:
    """Return the log of a real store that took so many commits."""
    Store.open(directory).close()  # the schema is in the file: the log begins with the history
    base = (directory / FILE_NAME).read_bytes()
    store, history = Store.open(directory), History(seed)
    _durable(store._db)
    looking = sqlite3.connect(directory / FILE_NAME)
    acknowledged, contents = [0], [digest(looking)]
    history.machine.world.take_changes()
    while len(acknowledged) <= commits:
        history.step()
        changes = history.machine.world.take_changes()
        if changes:
            store.commit(changes)
            acknowledged.append((directory / WAL).stat().st_size)
            contents.append(digest(looking))
    looking.close()
    recorded = Recorded(base, (directory / WAL).read_bytes(), acknowledged, contents)
    assert acknowledged == sorted(acknowledged), "the log was begun anew: take fewer commits"
    assert (directory / FILE_NAME).read_bytes() == base, "a checkpoint came in between"
    store.close()
    return recorded


def cuts(recorded: Recorded, frames: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield (what it is, the log that is left, how many of its frames are whole)."""
    wal, size = recorded.wal, recorded.frame_bytes
    yield "no log", b"", 0
    yield "half a header", wal[: HEADER // 2], 0
    for whole in range(frames + 1):
        end = HEADER + whole * size
        yield f"after frame {whole}", wal[:end], whole
        if whole:
            yield f"a byte before the end of frame {whole}", wal[: end - 1], whole - 1
        if whole < frames:
            yield f"a byte after frame {whole}", wal[: end + 1], whole
        if whole and recorded.commits_in(whole) > recorded.commits_in(whole - 1):
            last = end - size
            zeros = wal[:last] + bytes(size)
            yield f"frame {whole} is zeros", zeros, whole - 1
            page = wal[: last + FRAME_HEADER] + bytes(size - FRAME_HEADER)
            if page != wal[:end]:  # a page may be nothing but zeros
                yield f"the page of frame {whole} is zeros", page, whole - 1
            bit = bytearray(wal[:end])
            bit[last + (whole * 131) % size] ^= 1 << whole % 8
            yield f"a bit of frame {whole} is flipped", bytes(bit), whole - 1


def _wrong(copy: Path, recorded: Recorded, whole: int) -> str | None:
    """Return what is wrong with a database with so many whole frames, None where nothing is."""
    expected = recorded.commits_in(whole)
    store = Store.open(copy)
    try:
        _durable(store._db)
        checked = store._db.execute("PRAGMA integrity_check").fetchone()[0]
        if checked != "ok":
            return f"integrity_check: {checked}"
        found = digest(store._db)
        if found != recorded.contents[expected]:
            held = [n for n, text in enumerate(recorded.contents) if text == found]
            return f"holds commits {held or 'in part'}, {expected} were whole"
        synced = HEADER + whole * recorded.frame_bytes
        acknowledged = sum(end <= synced for end in recorded.acknowledged[1:])
        if acknowledged > expected:
            return f"{acknowledged} were acknowledged, {expected} are there"
        world = store.load(2)
        resume(world, History(0).machine.time)
        return "; ".join(violations(world)) or None
    finally:
        store.close()


def _durable(connection: sqlite3.Connection) -> None:
    """Assert the settings that durability rests on."""
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    }
    assert found == {"journal_mode": "wal", "synchronous": FULL}, found


def digest(connection: sqlite3.Connection) -> str:
    """Return a digest of everything that commits write."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    found = hashlib.sha256()
    for (name,) in sorted(map(tuple, tables)):
        rows = connection.execute(f"SELECT * FROM {name}").fetchall()
        found.update(repr((name, sorted(map(repr, map(tuple, rows))))).encode())
    return found.hexdigest()
