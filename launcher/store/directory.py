"""The state directory around the database: who has it, who may read it, and whose it is."""

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
"""Has the store's id, also where the database is lost: containers carry it."""
CEILING_FILE = "highest-id"
"""Has a number that no job id was above: a database that is lost must not give one out again."""
VERSION_FILE = "version"
"""Has the version of the launcher that opened the store last."""
SUSPECT_FILE = "check-failed"
"""Is there, with the reason, after a check of a database in use has failed."""
BACKUP_PREFIX = "backup-"
"""Begins the names of copies that are sent to clients; what was left of them goes at a start."""
IDS_AT_ONCE = 1000
_ID = re.compile(r"[0-9a-f]{8}")


def remembered_id(directory: Path) -> str | None:
    """Return the id that this directory's store had, None where it had none."""
    try:
        text = (directory / ID_FILE).read_text("ascii", "replace").strip()
    except OSError:
        return None
    return text if _ID.fullmatch(text) else None


def id_ceiling(directory: Path) -> int:
    """Return the number up to which job ids may have been given out; 0 where that is not known."""
    try:
        text = (directory / CEILING_FILE).read_text("ascii", "replace").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def raise_ceiling(directory: Path, least: int) -> int:
    """Note, a thousand at a time, that ids up to ``least`` are given out; returns the ceiling."""
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
    """Return the version of the launcher that used the store last, None where it is unknown."""
    try:
        return (directory / VERSION_FILE).read_text("ascii", "replace").strip()[:40] or None
    except OSError:
        return None


def mark_suspect(directory: Path, why: str) -> None:
    """Have the next start check the whole database before it uses it."""
    _replace(directory / SUSPECT_FILE, ascii(why)[:1000] + "\n")


def is_suspect(directory: Path) -> bool:
    """Whether the database was found damaged while it was in use."""
    return (directory / SUSPECT_FILE).exists()


def clear_suspicion(directory: Path) -> None:
    """Forget that a check failed: the database is another one, or well."""
    with contextlib.suppress(OSError):
        (directory / SUSPECT_FILE).unlink(missing_ok=True)


def clear_copies(directory: Path) -> None:
    """Delete the copies for clients that a daemon left when it was killed."""
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
    """Raise ``DatabaseDamaged`` where there was a database and there is none: ids would recur."""
    if remembered_id(path.parent) is None:
        return
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        raise damaged(path, f"it is gone, {path.parent / ID_FILE} says that there was one")


def close_to_others(path: Path) -> None:
    """Let nobody else read the database, whatever its directory allows: it holds environments.

    SQLite gives the files beside it the database's mode.
    """
    with contextlib.suppress(OSError):  # SQLite says it better
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            beside = path.with_name(name)
            if beside.is_file() and beside.stat().st_mode & 0o077:
                beside.chmod(0o600)
    except OSError as error:
        raise cannot(f"use {path}", error) from error


def lock(directory: Path) -> int:
    """Take the directory for this process until it ends; refused while another has it."""
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
