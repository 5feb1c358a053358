"""Users' names, from the system's databases (getpwuid(3)), and whose a uid without a name is."""

from __future__ import annotations

import functools
import pwd
from pathlib import Path

SUBORDINATE = Path("/etc/subuid")
MOST_BYTES = 2**20
"""What is read of that file."""


def name_of(uid: int) -> str:
    """Return a user's name; of a uid without a name its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def lent_by(uid: int, file: Path = SUBORDINATE) -> str | None:
    """Return the user, by name or uid, who was given a uid for use in user namespaces (subuid(5)).

    None where nobody was. Such a user can connect under each of some 65,536 uids: with limits for
    each of these, the user would have none.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    ranges = _ranges(str(file), found.st_ino, found.st_mtime_ns)
    return next((name for name, first, count in ranges if 0 <= uid - first < count), None)


@functools.lru_cache(maxsize=1)
def _ranges(path: str, inode: int, changed_ns: int) -> list[tuple[str, int, int]]:
    """Read the file again where it was replaced or changed."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError:
        return []
    rows = [line.split(":") for line in lines]
    return [
        (row[0], int(row[1]), int(row[2]))
        for row in rows
        if len(row) == 3 and row[1].isdecimal() and row[2].isdecimal()
    ]
