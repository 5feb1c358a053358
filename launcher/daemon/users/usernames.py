"""Users' names and groups from the system's databases (getpwuid(3), getgrouplist(3)), and the
owners of uids without a name.

Everything here queries NSS, which may hang: never call it on the event loop.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import pwd
import re
from pathlib import Path

from launcher.procfs import read_lines

SUBORDINATE = Path("/etc/subuid")
MOST_BYTES = 2**24
"""A larger file is not read."""
_ROW = re.compile(r"([^:]+):(\d{1,10}):(\d{1,10})", re.ASCII)


_cache: dict[int, tuple[str, int]] = {}
"""uid -> name and primary gid, as last found."""
MOST_KNOWN = 10_000
NO_GROUP = 65534
"""The kernel's overflow gid, Debian's nogroup: it owns nothing."""


def known_name(uid: int) -> str:
    """Return a user's last known name, else the number; does not query NSS."""
    return _cache.get(uid, (str(uid), NO_GROUP))[0]


def account_of(uid: int) -> tuple[str, int]:
    """Return a user's name and primary group; for an unknown uid its number and ``NO_GROUP``.

    Earlier results are reused, because the name service may be down for a while.
    """
    try:
        result = pwd.getpwuid(uid)
    except KeyError:
        return _cache.get(uid, (str(uid), NO_GROUP))
    if len(_cache) >= MOST_KNOWN:
        _cache.clear()
    _cache[uid] = account = result.pw_name, result.pw_gid
    return account


def primary_gid(uid: int, name: str) -> int:
    """Return the primary group of a user: that of the passwd entry with this name and uid.

    ``NO_GROUP`` if there is no such entry. An earlier result counts while the name cannot be looked
    up. A process's own gid never counts: sg(1), group passwords and set-group-id change it.
    """
    try:
        result = pwd.getpwnam(name)
    except KeyError:
        before, gid = _cache.get(uid, (None, NO_GROUP))
        return gid if before == name else NO_GROUP
    return result.pw_gid if result.pw_uid == uid else NO_GROUP


_libc = ctypes.CDLL(None)
FIRST_GROUPS = 64
MOST_GROUPS = 65_536
"""The kernel's NGROUPS_MAX (limits.h)."""


def group_ids(name: str, gid: int) -> list[int]:
    """Return the ids of a name's groups, and ``gid``; raises ``OSError``.

    Like os.getgrouplist(), which holds the GIL during the call (CPython 3.11 to 3.13), so that a
    slow service would block all threads.
    """
    count = ctypes.c_int(FIRST_GROUPS)
    while count.value <= MOST_GROUPS:
        room = count.value
        result = (ctypes.c_uint32 * room)()
        user, group = os.fsencode(name), ctypes.c_uint32(gid)
        if _libc.getgrouplist(user, group, result, ctypes.byref(count)) >= 0:
            return list(result[: count.value])
        count.value = max(count.value, 2 * room)
    raise OSError(errno.E2BIG, f"{name} is in more than {MOST_GROUPS} groups")


def lent_by(uid: int, file: Path = SUBORDINATE) -> str | None:
    """Return the user, by name or uid, to whom a uid was lent for user namespaces (subuid(5)).

    None if there is none. Such a user can connect under some 65,536 uids, and limits per uid would
    not bind the user. Raises ``OSError`` if that cannot be read.
    """
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    if status.st_size > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
    ranges = _ranges(str(file), status.st_ino, status.st_mtime_ns)
    return next((name for name, first, count in ranges if 0 <= uid - first < count), None)


@functools.lru_cache(maxsize=1)
def _ranges(path: str, inode: int, changed_ns: int) -> list[tuple[str, int, int]]:
    """Read the file again if it was replaced or changed; errors are not cached."""
    match = (_ROW.fullmatch(line.strip()) for line in read_lines(Path(path)))
    return [(row[1], int(row[2]), int(row[3])) for row in match if row]
