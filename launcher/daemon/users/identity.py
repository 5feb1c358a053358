"""Who is calling: SO_PEERCRED of that very connection, and nothing else."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
from dataclasses import dataclass, replace

from aiohttp import web

from launcher.config.settings import Config
from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import Policy, Settings
from launcher.daemon.users.usernames import NO_GROUP, account_of, group_ids, lent_by, primary_gid
from launcher.errors import NotAllowed
from launcher.peers import peer_of
from launcher.spec.job_spec import JobSpec


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, as the kernel reported it at connect(), and the caller's role here."""

    owner: Owner
    admin: bool
    trusted: bool = False
    groups: frozenset[str] = frozenset()
    """The names of the user's groups."""

    @property
    def uid(self) -> int:
        """The caller's uid."""
        return self.owner.uid

    @property
    def role(self) -> str:
        """The word for the caller's role: admin, trusted or user."""
        return "admin" if self.admin else "trusted" if self.trusted else "user"

    def may_see(self, owner: Owner) -> bool:
        """Whether command, log and environment of this owner's jobs are the caller's to see."""
        return self.admin or owner.uid == self.uid


@dataclass(frozen=True, slots=True)
class Roles:
    """Who administers a daemon and whom it trusts: these uids, the members of the groups named.

    Every method but ``asked`` asks NSS, which may take long: on the event loop ``Accounts`` does.
    """

    admin_uids: frozenset[int]
    admin_group: str | None = None
    trusted_group: str | None = None

    def caller(self, owner: Owner) -> Caller:
        """Return a user with the user's role."""
        return self._with_role(owner, gids_of(owner))

    def known(self, uid: int) -> Caller:
        """Return who a uid is; one without a name is shown as its number, without a group.

        Raises ``NotAllowed`` for a uid that was given to another user for user namespaces.
        """
        name, gid = account_of(uid)
        if name == str(uid):
            _must_not_be_subordinate(uid)
        return self.caller(Owner(uid, gid, name))

    def _with_role(self, owner: Owner, gids: frozenset[int]) -> Caller:
        admin = owner.uid in self.admin_uids or _gid(self.admin_group) in gids
        return Caller(owner, admin, _gid(self.trusted_group) in gids, _names_of(gids))

    def policy_input(self, spec: JobSpec, owner: Owner, policy: Policy, memory: int) -> PolicyInput:
        """Return the policy's input with the owner's present groups and role; memory in bytes."""
        return PolicyInput(spec, self.person(owner, policy.groups), policy, memory)

    def person(self, owner: Owner, keeps: frozenset[str]) -> Person:
        """Return a user as the policy sees one; ``keeps`` are groups that containers may keep.

        The owner's gid is the primary group now: one that an earlier version recorded was that of
        the process that connected.
        """
        gids = gids_of(owner)
        owner = replace(owner, gid=primary_gid(owner.uid, owner.name))
        caller = self._with_role(owner, gids)
        container_gids = tuple(sorted(gid for name in keeps if (gid := _gid(name)) in gids and gid))
        return Person(owner, caller.groups, container_gids, caller.trusted, caller.admin)


def roles_of(config: Config) -> Roles:
    """Return the roles of a daemon: who runs it administers it."""
    uids = frozenset({0, os.getuid()})
    return Roles(uids, config.admin_group, config.trusted_group)


def gids_of(owner: Owner) -> frozenset[int]:
    """Return the ids of a user's groups, by passwd and group alone; none where the user has no
    passwd entry, or the name is another user's now."""
    gid = primary_gid(owner.uid, owner.name)
    return frozenset() if gid == NO_GROUP else frozenset(group_ids(owner.name, gid))


def _gid(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def unknown_names(rules: Settings, *groups: str | None) -> list[str]:
    """Return the users and groups of the rules, and of these, that this machine does not have."""
    result = [f"group {name}" for name in groups if name is not None and _gid(name) is None]
    for name in sorted({*rules.user_quotas, *rules.fair_share.shares}):
        try:
            pwd.getpwnam(name)
        except KeyError:
            result.append(f"user {name}")
    for name in sorted(rules.group_quotas):
        try:
            grp.getgrnam(name)
        except KeyError:
            result.append(f"group {name}")
    return result


def groups_of(owner: Owner) -> frozenset[str]:
    """Return the names of a user's groups; a group without a name is left out."""
    return _names_of(gids_of(owner))


def _names_of(gids: frozenset[int]) -> frozenset[str]:
    result = set()
    for gid in gids:
        with contextlib.suppress(KeyError):
            result.add(grp.getgrgid(gid).gr_name)
    return frozenset(result)


def sender_of(request: web.Request) -> int:
    """Return the uid that sent a request; raises ``NotAllowed`` where its connection is gone."""
    transport = request.transport
    connection: socket.socket | None = (
        transport.get_extra_info("socket") if transport is not None else None
    )
    if connection is None:
        raise NotAllowed("the connection is gone")
    return peer_of(connection).uid  # not the gid: a process may change to any of its groups


def _must_not_be_subordinate(uid: int) -> None:
    """Raise ``NotAllowed`` for a uid that another user may have in user namespaces."""
    try:
        lender = lent_by(uid)
    except OSError as error:
        raise NotAllowed(
            f"uid {uid} has no name, and whose it is cannot be read in {error.filename}: "
            f"{error.strerror}"
        ) from error
    if lender is not None:
        raise NotAllowed(
            f"uid {uid} is a subordinate uid of {lender} (/etc/subuid)",
            fix=f"Run the command as {lender}, outside of a user namespace.",
        )
