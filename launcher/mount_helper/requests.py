"""The helper's requests: a table, its settings, and one function per request.

A request is ``{"do": <name in the table>, ...}``. Each is idempotent: a repeated request finds the
result of the first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from launcher import __version__, homes
from launcher.errors import LauncherError, PinRefused, PinsUnavailable, UserError
from launcher.mount_helper import values
from launcher.mount_helper.borrowing import opened
from launcher.mount_helper.fuse import check_open
from launcher.mount_helper.opening import open_private
from launcher.mount_helper.slots import Slots
from launcher.mount_helper.tree import MountTree
from launcher.mount_helper.values import Fields, MountRequest

OPENING_SECONDS = 10.0
EMPTYING_SECONDS, MEASURING_SECONDS = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class HelperSettings:
    """The helper's settings: where the pins are, and how long an opening may take."""

    directory: str
    slots: Slots
    opening_seconds: float = OPENING_SECONDS
    root_allowed: bool = False


Reply = dict[str, Any]


def pin(settings: HelperSettings, fields: Fields) -> Reply:
    """Open as the user, then mount in dockerd's view; ``paths`` are in the order of ``mounts``."""
    values.only(fields, "container", "mounts", "uid", "gid", "groups", "dockerd")
    container, dockerd = values.container_of(fields), values.dockerd_of(fields)
    user = values.user_of(fields, root_allowed=settings.root_allowed)
    mounts = _mounts(settings, fields)
    with (
        opened(user, mounts, settings.opening_seconds, settings.slots) as files,
        MountTree.locked(settings.directory) as tree,
    ):
        return {"paths": tree.pin(container, list(zip(files, mounts, strict=True)), dockerd)}


def secrets(settings: HelperSettings, fields: Fields) -> Reply:
    """Mount a file system in memory with these files, readable by the user, at ``path``."""
    values.only(fields, "container", "secrets", "uid", "gid", "dockerd")
    container, dockerd = values.container_of(fields), values.dockerd_of(fields)
    files = values.secrets_of(fields)
    # uid 0 is allowed: nothing is opened as the user, and the files belong to the user.
    user = values.user_of({**fields, "groups": []}, root_allowed=True)
    with MountTree.locked(settings.directory) as tree:
        return {"path": tree.put_secrets(container, files, user, dockerd)}


def check(settings: HelperSettings, fields: Fields) -> Reply:
    """Open as the user without mounting, to report errors when a job is submitted."""
    values.only(fields, "mounts", "uid", "gid", "groups")
    user = values.user_of(fields, root_allowed=settings.root_allowed)
    mounts = _mounts(settings, fields)
    with opened(user, mounts, settings.opening_seconds, settings.slots) as files:
        for fd, mount in zip(files, mounts, strict=True):
            check_open(fd, mount)
    return {}


def unpin(settings: HelperSettings, fields: Fields) -> Reply:
    """Remove a container's pins; ``removed`` says whether it had any."""
    values.only(fields, "container")
    container = values.container_of(fields)
    with MountTree.locked(settings.directory) as tree:
        return {"removed": tree.remove(container)}


def pinned(settings: HelperSettings, fields: Fields) -> Reply:
    """List the ``containers`` that have pins and whose names start with ``prefix``."""
    values.only(fields, "prefix")
    prefix = values.prefix_of(fields)
    with MountTree.locked(settings.directory) as tree:
        return {"containers": [name for name in tree.containers() if name.startswith(prefix)]}


def sweep(settings: HelperSettings, fields: Fields) -> Reply:
    """Remove the pins of several containers, as ``unpin``; ``removed`` lists their names."""
    values.only(fields, "containers")
    containers = values.containers_of(fields)
    with MountTree.locked(settings.directory) as tree:
        return {"removed": tree.sweep(containers)}


def home(settings: HelperSettings, fields: Fields) -> Reply:
    """Make the directories of a container's HOME and /tmp, and its user's cache."""
    names = ("parents", "files", "cache", "fresh", "limit")
    values.only(fields, "homes", "container", "uid", "gid", *names)
    request = values.home_of(fields)
    with _homes(fields) as root:
        homes.make(root, request)
    return {}


def homes_of(settings: HelperSettings, fields: Fields) -> Reply:
    """List the ``containers`` with directories, by the start of their names, and all ``uids`` with
    a cache."""
    values.only(fields, "homes", "prefix")
    prefix = values.prefix_of(fields)
    with _homes(fields) as root:
        return {"containers": homes.listed(root, prefix), "uids": homes.users_with_caches(root)}


def retire(settings: HelperSettings, fields: Fields) -> Reply:
    """Take the directories of containers and the caches of users out of use."""
    values.only(fields, "homes", "containers", "uids")
    containers, uids = values.containers_of(fields), values.uids_of(fields)
    with _homes(fields) as root:
        homes.retire_all(root, containers, uids)
    return {}


def empty(settings: HelperSettings, fields: Fields) -> Reply:
    """Delete what is out of use, for a bounded time.

    ``left`` says whether something is still to be deleted: the request is to be repeated.
    """
    values.only(fields, "homes")
    with _homes(fields) as root:
        return {"left": not homes.empty(root, EMPTYING_SECONDS)}


def measure(settings: HelperSettings, fields: Fields) -> Reply:
    """Measure the directories of containers and the caches of users.

    ``size`` is that of the file system; all sizes are in bytes.
    """
    values.only(fields, "homes", "containers", "uids")
    containers, uids = values.containers_of(fields), values.uids_of(fields)
    with _homes(fields) as root:
        return asdict(homes.measure_all(root, containers, uids, MEASURING_SECONDS))


@contextlib.contextmanager
def _homes(fields: Fields) -> Iterator[int]:
    """Yield the open directory of all homes; a kernel error becomes readable."""
    directory = values.directory_of(fields)
    root = open_private(directory, "directory of homes")
    try:
        yield root
    except OSError as error:
        raise PinsUnavailable(f"{directory}: {error.strerror}") from error
    finally:
        os.close(root)


def ping(settings: HelperSettings, fields: Fields) -> Reply:
    """Report whether pins can be made, and in which mount namespace."""
    values.only(fields)
    try:
        with MountTree.locked(settings.directory) as tree:
            trouble = tree.trouble()
    except LauncherError as error:
        trouble = error
    namespace = os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    why = str(trouble) if trouble else None
    return {"version": __version__, "namespace": namespace, "trouble": why}


REQUESTS: Mapping[str, Callable[[HelperSettings, Fields], Reply]] = {
    "pin": pin,
    "secrets": secrets,
    "check": check,
    "unpin": unpin,
    "list": pinned,
    "sweep": sweep,
    "home": home,
    "homes": homes_of,
    "retire": retire,
    "empty": empty,
    "measure": measure,
    "ping": ping,
}


def answer(settings: HelperSettings, request: Fields) -> Reply:
    """Carry out a request; raises ``UserError`` for an unknown one."""
    fields = dict(request)
    verb = fields.pop("do", None)
    handler = REQUESTS.get(verb) if isinstance(verb, str) else None
    if handler is None:
        raise UserError(f"do: {verb!r} is not one of {', '.join(REQUESTS)}")
    return handler(settings, fields)


def _mounts(settings: HelperSettings, fields: Fields) -> tuple[MountRequest, ...]:
    """Return the requested mounts; refuse a root that contains the pins, which would recurse."""
    mounts = values.mounts_of(fields)
    pins = f"{settings.directory}/"
    for mount in mounts:
        root = f"{mount.root}/"
        if pins.startswith(root) or root.startswith(pins):
            raise PinRefused(f"mount root {mount.root} overlaps the directory of pins {pins[:-1]}")
    return mounts
