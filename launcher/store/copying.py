"""Copies of a database in use, by SQLite's online backup API (sqlite.org/backup.html)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from launcher.errors import StateDirError
from launcher.store.connect import SPACE, cannot, explained
from launcher.store.directory import sync
from launcher.store.sql import queries

COPIED_AT = "copied_at"
"""The key in ``meta`` of the time (RFC 3339) of a copy for a client."""
_SIZE = ("page_count", "page_size")


def copy_database(source: sqlite3.Connection, target: Path, at: str | None = None) -> None:
    """Copy the present database, whole and durable; only the owner may read the copy.

    ``at`` is the time to store in the copy. One read transaction: writers continue meanwhile.
    Raises ``StateDirError``; then ``target`` does not exist, or is unchanged.
    """
    new = target.with_name(f"{target.name}.new")
    try:
        _must_fit(source, target)
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with explained(new), contextlib.closing(sqlite3.connect(new)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            if at is not None:
                copy.execute(queries()["put_meta"], (COPIED_AT, at))
                copy.commit()
        new.replace(target)
        sync(target.parent)
    except OSError as error:
        raise cannot(f"write {target}", error) from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def _must_fit(source: sqlite3.Connection, target: Path) -> None:
    pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZE)
    disk = os.statvfs(target.parent)
    if disk.f_bavail * disk.f_frsize < pages * size:
        raise StateDirError(
            f"cannot write {target}: it needs {pages * size // 2**20 + 1} MiB, "
            f"{target.parent} has {disk.f_bavail * disk.f_frsize // 2**20} MiB left",
            fix=SPACE,
        )
