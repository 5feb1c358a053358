"""Users' names and groups, from the system's databases (getpwuid(3), getgrouplist(3)), and whose a
uid without a name is.

Everything here asks NSS, which may be a service that is away: never on the event loop.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import pwd
import re
from pathlib import Path

SUBORDINATE = Path("/etc/subuid")
MOST_BYTES = 2**24
"""A larger file is not read."""
_ROW = re.compile(r"([^:]+):(\d{1,10}):(\d{1,10})", re.ASCII)


_known: dict[int, tuple[str, int]] = {}
"""uid -> name and primary gid, as they were found last."""
MOST_KNOWN = 10_000
NO_GROUP = 65534
"""The kernel's overflow gid, Debian's nogroup: it owns nothing."""


def known_name(uid: int) -> str:
    """Return a user's name as it was found last, else the number; asks nobody."""
    return _known.get(uid, (str(uid), NO_GROUP))[0]


def account_of(uid: int) -> tuple[str, int]:
    """Return a user's name and primary group; of a uid without them its number and ``NO_GROUP``.

    Those that were found before are kept: a service that looks them up may be away for a while.
    """
    try:
        result = pwd.getpwuid(uid)
    except KeyError:
        return _known.get(uid, (str(uid), NO_GROUP))
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[uid] = account = result.pw_name, result.pw_gid
    return account


def primary_gid(uid: int, name: str) -> int:
    """Return the primary group of a user: that of the passwd entry with this name and uid.

    ``NO_GROUP`` where there is no such entry. An entry that was found before counts as long as
    the name cannot be looked up. A process's own gid never counts: sg(1), a group's password and
    set-group-id programs change it.
    """
    try:
        result = pwd.getpwnam(name)
    except KeyError:
        before, gid = _known.get(uid, (None, NO_GROUP))
        return gid if before == name else NO_GROUP
    return result.pw_gid if result.pw_uid == uid else NO_GROUP


_libc = ctypes.CDLL(None)
FIRST_GROUPS = 64
MOST_GROUPS = 65_536
"""The kernel's NGROUPS_MAX (limits.h)."""


def group_ids(name: str, gid: int) -> list[int]:
    """Return the ids of the groups that a name is in, and ``gid``; raises ``OSError``.

    As os.getgrouplist() does, which keeps every other thread waiting meanwhile: it does not let go
    of the interpreter's lock (CPython 3.11 to 3.13), so that a slow service would stop them all.
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
    """Return the user, by name or uid, who was given a uid for use in user namespaces (subuid(5)).

    None where nobody was. Such a user can connect under each of some 65,536 uids: with limits for
    each of these, the user would have none. Raises ``OSError`` where that cannot be known.
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
    """Read the file again where it was replaced or changed; an error is not remembered."""
    lines = Path(path).read_text("utf-8", "replace").splitlines()
    match = (_ROW.fullmatch(line.strip()) for line in lines)
    return [(row[1], int(row[2]), int(row[3])) for row in match if row]
