"""The caller's identity: SO_PEERCRED of the request's connection, and nothing else."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from dataclasses import dataclass, field, replace

from aiohttp import web

from launcher import wire
from launcher.config.settings import Config
from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import Policy, Settings
from launcher.daemon.users.group_rule import harmless_gids, name_of_group
from launcher.daemon.users.usernames import NO_GROUP, account_of, group_ids, lent_by, primary_gid
from launcher.errors import NotAllowed, UserError
from launcher.peers import peer_of
from launcher.spec.job_spec import JobSpec


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, as the kernel reported it at connect(), with its role in this daemon."""

    owner: Owner
    admin: bool
    trusted: bool = False
    groups: frozenset[str] = frozenset()
    """The names of the user's groups."""
    reads_only: bool = False
    """Whether the caller may only read what every user sees: an observer."""
    web_session: str | None = field(default=None, repr=False)
    """The session of a user who logged in to a page: ``launch web`` asks for them."""
    is_web_service: bool = False
    """Whether the caller may exchange tokens of others and get what is to be sent for them: the
    observer by configuration, or the daemon's own user; never one who only requests that role."""

    @property
    def uid(self) -> int:
        """The caller's uid."""
        return self.owner.uid

    @property
    def role(self) -> str:
        """The name of the caller's role: observer, admin, trusted or user; "via web" on a page."""
        return self.base_role if self.web_session is None else f"{self.base_role} via web"

    @property
    def base_role(self) -> str:
        """The role without the way by which the caller came."""
        if self.reads_only:
            return "observer"
        return "admin" if self.admin else "trusted" if self.trusted else "user"

    def may_see(self, owner: Owner) -> bool:
        """Whether the caller may see command, log and environment of this owner's jobs."""
        return not self.reads_only and (self.admin or owner.uid == self.uid)

    def as_observer(self) -> Caller:
        """Return the caller with the rights of an observer, which are the fewest."""
        return replace(self, admin=False, trusted=False, reads_only=True)


def in_role(caller: Caller, role: str | None) -> Caller:
    """Return the caller in the role that it requests, which may only have fewer rights.

    Raises ``UserError`` for an unknown role.
    """
    if role is None:
        return caller
    if role != wire.OBSERVER:
        raise UserError(f"{wire.ROLE_HEADER}: the role {role[:40]!r} is not known")
    return caller.as_observer()


def in_session(sender: Caller, user: Caller, session: str) -> Caller:
    """Return the user for whom a page asks, with the user's present rights.

    Raises ``NotAllowed`` unless the sender serves pages: another user cannot use a session that was
    found somewhere, such as in a browser's memory, at the daemon's socket.
    """
    if not sender.is_web_service:
        raise NotAllowed(
            f"{sender.owner.name} does not serve pages",
            fix="[users] observer of launcher.toml names the user of `launch web`.",
        )
    return replace(user, web_session=session, is_web_service=False)


@dataclass(frozen=True, slots=True)
class Roles:
    """A daemon's admins and trusted users: by uid, or as members of the named groups.

    Every method queries NSS, which may be slow: on the event loop ``Accounts`` does it.
    """

    admin_uids: frozenset[int]
    admin_group: str | None = None
    trusted_group: str | None = None
    docker_socket: str | None = None
    observer: str | None = None
    """The name of the user who may only read what every user sees."""

    def caller(self, owner: Owner) -> Caller:
        """Return a user with its role."""
        return self._with_role(owner, gids_of(owner))

    def known(self, uid: int) -> Caller:
        """Return the user of a uid; a uid without a name gets its number, and no group.

        Raises ``NotAllowed`` for a uid that is assigned to another user's user namespaces.
        """
        name, gid = account_of(uid)
        if name == str(uid):
            _must_not_be_subordinate(uid)
        return self.caller(Owner(uid, gid, name))

    def _with_role(self, owner: Owner, gids: frozenset[int]) -> Caller:
        admin = owner.uid in self.admin_uids or _gid(self.admin_group) in gids
        caller = Caller(owner, admin, _gid(self.trusted_group) in gids, _names_of(gids))
        if owner.name == self.observer:
            return replace(caller.as_observer(), is_web_service=True)
        return replace(caller, is_web_service=owner.uid in self.admin_uids)

    def policy_input(self, spec: JobSpec, owner: Owner, policy: Policy, memory: int) -> PolicyInput:
        """Return the policy's input with the owner's current groups and role; memory in bytes."""
        return PolicyInput(spec, self.person(owner, policy.groups), policy, memory)

    def person(self, owner: Owner, keeps: frozenset[str] | None) -> Person:
        """Return a user in the policy's form; ``keeps`` are groups that containers may keep.

        None: all that give no rights on this machine (``group_rule``).

        The owner's gid is set to the current primary group: an earlier version recorded the gid of
        the process that connected.
        """
        gids = gids_of(owner)
        owner = replace(owner, gid=primary_gid(owner.uid, owner.name))
        caller = self._with_role(owner, gids)
        if keeps is None:
            closed = {name for name in (self.admin_group, self.trusted_group) if name is not None}
            kept = harmless_gids(gids - {owner.gid}, closed, self.docker_socket)
        else:
            kept = frozenset(gid for name in keeps if (gid := _gid(name)) in gids and gid)
        return Person(
            owner,
            caller.groups,
            tuple(sorted(kept)),
            caller.trusted,
            caller.admin,
            {gid: name for gid in kept | {owner.gid} if (name := name_of_group(gid)) is not None},
        )


def roles_of(config: Config) -> Roles:
    """Return the roles of a daemon; its own user is an admin."""
    uids = frozenset({0, os.getuid()})
    socket_path = config.docker_host.removeprefix("unix://")
    observer = config.users.observer or None
    return Roles(uids, config.admin_group, config.trusted_group, socket_path, observer)


def gids_of(owner: Owner) -> frozenset[int]:
    """Return the ids of a user's groups, from passwd and group only; empty if the user has no
    passwd entry, or the name now belongs to another user."""
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
    """Return the users and groups in the rules, and of ``groups``, that this machine lacks."""
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
    """Return the names of a user's groups; groups without a name are left out."""
    return _names_of(gids_of(owner))


def _names_of(gids: frozenset[int]) -> frozenset[str]:
    return frozenset(name for gid in gids if (name := name_of_group(gid)) is not None)


def sender_of(request: web.Request) -> int:
    """Return the uid that sent a request; raises ``NotAllowed`` if its connection is gone."""
    transport = request.transport
    connection: socket.socket | None = (
        transport.get_extra_info("socket") if transport is not None else None
    )
    if connection is None:
        raise NotAllowed("the connection is gone")
    return peer_of(connection).uid  # not the gid, because a process may switch between its groups


def _must_not_be_subordinate(uid: int) -> None:
    """Raise ``NotAllowed`` for a uid that another user may have in user namespaces."""
    try:
        lender = lent_by(uid)
    except OSError as error:
        raise NotAllowed(
            f"uid {uid} has no name, and its owner cannot be read from {error.filename}: "
            f"{error.strerror}"
        ) from error
    if lender is not None:
        raise NotAllowed(
            f"uid {uid} is a subordinate uid of {lender} (/etc/subuid)",
            fix=f"Run the command as {lender}, outside of a user namespace.",
        )
