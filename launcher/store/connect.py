"""Opens the database: sets pragmas, and converts SQLite's errors into helpful ones."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from launcher.errors import DatabaseDamaged, InternalError, StateDirError

FILE_NAME = "launcher.db"
PAGE_SIZE = 4096
"""SQLite's default. A salvage relies on it: a damaged header does not tell."""

SPACE = "Free some space, then try again."
WRITABLE = "Make it writable for the user that runs the launcher."
_BY_ERRNO = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EROFS: WRITABLE,
    errno.EACCES: WRITABLE,
    errno.EPERM: WRITABLE,
}
_ADVICE = (
    ("full", "the disk is full", SPACE),
    ("readonly", "it is read-only", WRITABLE),
    ("unable to open", "it cannot be opened", "Check that it exists and is writable."),
    ("locked", "another program has it locked", "Stop the other program."),
    ("disk i/o", "the disk has an error", "Look at the kernel's log."),
)


_DAMAGE = ("malformed", "not a database")
_UNREADABLE = ("SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ")
REBUILD = (
    "Stop this daemon and start `launch serve --rebuild-from-docker`: it keeps the damaged file "
    "and restores what Docker and the file contain; running jobs continue."
)


STATE_ATTEMPTS = 100
"""How often two connections try to begin between the same commits, which takes 0.1 ms."""


def damaged(path: Path, why: str) -> DatabaseDamaged:
    """Return the error for a database that cannot be read, with the next step."""
    return DatabaseDamaged(f"cannot use {path}: the database is damaged: {why}", fix=REBUILD)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ``StateDirError``; a violated constraint is a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, ValueError, OverflowError) as error:
        raise InternalError(f"the database refused a change: {error}") from error
    except sqlite3.Error as error:
        text = str(error).lower()
        name = getattr(error, "sqlite_errorname", "")  # Python's own errors have none
        if name in _UNREADABLE or any(word in text for word in _DAMAGE):
            raise damaged(path, str(error)) from error
        for word, explanation, fix in _ADVICE:
            if word in text:
                raise StateDirError(
                    f"cannot use {path}: {explanation} ({error})", fix=fix
                ) from error
        raise StateDirError(f"cannot use {path}: {error}") from error


def cannot(subject: str, error: OSError) -> StateDirError:
    """Return the error for a directory without permission, with the next step."""
    fix = _BY_ERRNO.get(error.errno or 0, "Choose another state directory.")
    return StateDirError(f"cannot {subject}: {error.strerror}", fix=fix)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database with the settings that durability depends on.

    WAL with ``synchronous=FULL``: an acknowledged commit survives a power cut
    (sqlite.org/pragma.html#pragma_synchronous).
    """
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5.0,
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            durable(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def same_state(first: sqlite3.Connection, second: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database on two connections, whatever is committed meanwhile.

    Raises ``StateDirError`` if there is a commit in each of many attempts.
    """
    for _ in range(STATE_ATTEMPTS):
        try:
            before = _version(second)
            for each in (first, second):
                each.execute("BEGIN")
                each.execute("SELECT 1 FROM meta").fetchone()  # what is read begins here
            if _version(second) == before:  # thus nothing was committed in between
                yield
                return
        finally:
            for each in (first, second):
                if each.in_transaction:
                    each.execute("ROLLBACK")
    raise StateDirError("the database changes too often to sum it up", fix="Try again.")


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that differs after a commit of another connection."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def durable(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``StateDirError`` if SQLite did not accept the settings, as on some network disks.

    ``synchronous`` is 2 for FULL.
    """
    for name, wanted in (("journal_mode", "wal"), ("synchronous", 2)):
        result = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if result != wanted:
            raise StateDirError(
                f"{path} would not survive a power cut: {name} is {result}, not {wanted}",
                fix="Use a state directory on a local disk.",
            )


def check(connection: sqlite3.Connection, path: Path, table: str = "1") -> None:
    """Raise ``DatabaseDamaged`` if the pages of one table, or of all, are inconsistent.

    It reads every page: 8 s for 200,000 jobs. Damage within a page's values is found when they are
    read.
    """
    result = str(connection.execute(f"PRAGMA quick_check({table})").fetchone()[0])
    if result != "ok":
        raise damaged(path, " ".join(result.split()))
