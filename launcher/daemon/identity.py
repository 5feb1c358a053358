"""Who is calling: SO_PEERCRED of that very connection, and nothing else."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from aiohttp import web

from launcher.core.job import Owner
from launcher.core.rules import Rules
from launcher.errors import NotAllowed

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Caller:
    """The user at the other end, as the kernel reported it at connect()."""

    owner: Owner
    admin: bool

    @property
    def uid(self) -> int:
        """The caller's uid."""
        return self.owner.uid

    def may_see(self, owner: Owner) -> bool:
        """Whether command, log and environment of this owner's jobs are the caller's to see."""
        return self.admin or owner.uid == self.uid


@dataclass(frozen=True, slots=True)
class Admins:
    """Who administers a daemon: these uids, and the members of a group if one is named."""

    uids: frozenset[int]
    group: str | None = None

    def has(self, owner: Owner) -> bool:
        """Whether a user is an admin; groups are looked up by name, never taken from the caller."""
        if owner.uid in self.uids:
            return True
        if self.group is None:
            return False
        try:
            gid = grp.getgrnam(self.group).gr_gid
        except KeyError:
            return False
        return gid in os.getgrouplist(owner.name, owner.gid)


def unknown_names(rules: Rules) -> list[str]:
    """Return the users and groups of the rules that this machine does not have."""
    found = []
    for name in sorted({*rules.user_quotas, *rules.fair_share.shares}):
        try:
            pwd.getpwnam(name)
        except KeyError:
            found.append(f"user {name}")
    for name in sorted(rules.group_quotas):
        try:
            grp.getgrnam(name)
        except KeyError:
            found.append(f"group {name}")
    return found


def groups_of(owner: Owner) -> frozenset[str]:
    """Return the names of a user's groups; a group without a name is left out."""
    found = set()
    for gid in os.getgrouplist(owner.name, owner.gid):
        with contextlib.suppress(KeyError):
            found.add(grp.getgrgid(gid).gr_name)
    return frozenset(found)


def caller_of(request: web.Request, admins: Admins) -> Caller:
    """Return who sent a request; raises ``NotAllowed`` for a uid that the system does not know."""
    transport = request.transport
    connection: socket.socket | None = (
        transport.get_extra_info("socket") if transport is not None else None
    )
    if connection is None:
        raise NotAllowed("the connection is gone")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, gid = _UCRED.unpack(raw)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise NotAllowed(f"uid {uid} is not a user of this machine") from None
    owner = Owner(uid, gid, name)
    return Caller(owner, admin=admins.has(owner))
