"""The state directory around the database: its lock, its permissions, and the store's id."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from launcher import __version__
from launcher.errors import StateDirError
from launcher.store.connect import cannot, damaged

ID_FILE = "store-id"
"""Contains the store's id, also if the database is lost: containers carry it."""
CEILING_FILE = "highest-id"
"""Contains an upper bound of all job ids: after the loss of the database no id is used again."""
VERSION_FILE = "version"
"""Contains the version of the launcher that last opened the store."""
SUSPECT_FILE = "check-failed"
"""Exists, with the reason, after a check of a database in use has failed."""
BACKUP_PREFIX = "backup-"
"""The prefix of copies that are sent to clients; remaining ones are deleted at a start."""
IDS_AT_ONCE = 1000
_ID = re.compile(r"[0-9a-f]{8}")


def remembered_id(directory: Path) -> str | None:
    """Return the id that this directory's store had, None if it had none."""
    try:
        text = (directory / ID_FILE).read_text("ascii", "replace").strip()
    except OSError:
        return None
    return text if _ID.fullmatch(text) else None


def id_ceiling(directory: Path) -> int:
    """Return the number up to which job ids may have been assigned; 0 if that is unknown."""
    try:
        text = (directory / CEILING_FILE).read_text("ascii", "replace").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def raise_ceiling(directory: Path, least: int) -> int:
    """Record, a thousand at a time, that ids up to ``least`` are assigned; returns the ceiling."""
    ceiling = -(-(least + 1) // IDS_AT_ONCE) * IDS_AT_ONCE
    _replace(directory / CEILING_FILE, f"{ceiling}\n")
    return ceiling


def _replace(path: Path, text: str) -> None:
    """Write a small file whole and durably; a full disk is ignored."""
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(OSError):
        with new.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync(path.parent)


def remember_id(directory: Path, store: str) -> None:
    """Write the store's id beside the database."""
    if remembered_id(directory) == store:
        return
    _replace(directory / ID_FILE, f"{store}\n")


def remember_version(directory: Path) -> None:
    """Write which version of the launcher uses the store now."""
    if written_by(directory) != __version__:
        _replace(directory / VERSION_FILE, f"{__version__}\n")


def written_by(directory: Path) -> str | None:
    """Return the version of the launcher that last used the store, None if it is unknown."""
    try:
        return (directory / VERSION_FILE).read_text("ascii", "replace").strip()[:40] or None
    except OSError:
        return None


def mark_suspect(directory: Path, why: str) -> None:
    """Make the next start check the whole database before it uses it."""
    _replace(directory / SUSPECT_FILE, ascii(why)[:1000] + "\n")


def is_suspect(directory: Path) -> bool:
    """Whether the database was found damaged while it was in use."""
    return (directory / SUSPECT_FILE).exists()


def clear_suspicion(directory: Path) -> None:
    """Clear the record of a failed check: the database was replaced, or is healthy."""
    with contextlib.suppress(OSError):
        (directory / SUSPECT_FILE).unlink(missing_ok=True)


def clear_copies(directory: Path) -> None:
    """Delete the copies for clients that remain from a daemon that was killed."""
    with contextlib.suppress(OSError):
        for left in directory.glob(f"{BACKUP_PREFIX}*"):
            left.unlink(missing_ok=True)


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def must_not_be_gone(path: Path) -> None:
    """Raise ``DatabaseDamaged`` if an existing database has disappeared: ids would recur."""
    if remembered_id(path.parent) is None:
        return
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        raise damaged(path, f"it is missing, although {path.parent / ID_FILE} exists")


def close_to_others(path: Path) -> None:
    """Let only the owner read the database, whatever its directory allows: it has environments.

    SQLite gives the files beside it the database's mode.
    """
    with contextlib.suppress(OSError):  # SQLite's error is clearer
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            beside = path.with_name(name)
            if beside.is_file() and beside.stat().st_mode & 0o077:
                beside.chmod(0o600)
    except OSError as error:
        raise cannot(f"use {path}", error) from error


def lock(directory: Path) -> int:
    """Lock the directory until this process ends; refused while another process has it."""
    path = directory / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot(f"write in {directory}", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StateDirError(
            f"{directory} is in use by another launcher daemon (pid {holder})",
            fix="Stop that daemon, or use another state directory.",
        ) from error
    try:
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    except OSError as error:
        os.close(fd)
        raise cannot(f"write in {directory}", error) from error
    return fd
