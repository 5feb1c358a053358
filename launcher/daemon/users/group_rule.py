"""Which of a user's groups a container keeps by default: those that give no rights on this machine.

The rule fails closed: a group whose name or number cannot be looked up is not kept. Everything here
queries NSS, which may hang.
"""

from __future__ import annotations

import grp
import os
import re
import time
from collections.abc import Set
from functools import lru_cache
from pathlib import Path

from launcher.core.policy.settings import ROOTS_GROUPS
from launcher.daemon.users.usernames import NO_GROUP
from launcher.procfs import read_lines

LOGIN_DEFS = Path("/etc/login.defs")
USUAL_GID_MIN = 1000
CACHED_SECONDS = 30.0
"""How long the gids of groups that no container keeps are used before NSS is asked again."""
_GID_MIN = re.compile(r"\s*GID_MIN\s+(\d{1,9})\s*", re.ASCII)


def harmless_gids(gids: Set[int], closed: Set[str], docker_socket: str | None) -> frozenset[int]:
    """Return the groups that a container may keep, of those that a user has.

    Not system groups (below GID_MIN of login.defs(5)), ``closed`` ones and those of
    ``ROOTS_GROUPS``, and not the group of Docker's socket; none if that cannot be read.
    """
    if docker_socket is None:
        return frozenset()
    try:
        dockers = os.stat(docker_socket).st_gid  # noqa: PTH116
    except OSError:
        return frozenset()
    lowest, denied = gid_min(), ROOTS_GROUPS | closed
    named = frozenset(
        gid
        for gid in gids - {dockers, NO_GROUP}
        if gid >= lowest and (name := name_of_group(gid)) is not None and name not in denied
    )
    if not named:
        return named  # the lookups below are many, and most users have no group to keep
    return named - _gids_of(denied, int(time.monotonic() / CACHED_SECONDS))


def gid_min(file: Path = LOGIN_DEFS) -> int:
    """Return the lowest gid of an ordinary group on this machine."""
    try:
        matches = [_GID_MIN.fullmatch(line) for line in read_lines(file)]
    except OSError:
        return USUAL_GID_MIN
    return next((int(match[1]) for match in matches if match), USUAL_GID_MIN)


def name_of_group(gid: int) -> str | None:
    """Return the name of a group, None if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


@lru_cache(maxsize=4)
def _gids_of(names: frozenset[str], at: int) -> frozenset[int]:
    """Return the gids of the groups that exist: another name of one of them gives its rights too.

    ``at`` limits how long a result is used.
    """
    return frozenset(gid for name in names if (gid := _gid_of(name)) is not None)


def _gid_of(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
