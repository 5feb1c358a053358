"""Users' mounts: what a job may mount by the policy, as the helper holds it in place.

Who has Docker anyway mounts paths as they are; anybody else's are opened as that user, and Docker
is told where they are pinned.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.config.settings import Config
from launcher.core.model.ids import container_prefix
from launcher.core.policy.policy import Person, PolicyInput, root_of
from launcher.daemon.mounts.container_directories import Place, inside
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.users.identity import gids_of
from launcher.engine.containers import Containers
from launcher.errors import LauncherError
from launcher.mount_helper import MountRequest, Pins, User, spawned
from launcher.spec.job_spec import Mount

log = logging.getLogger(__name__)


def pins_of(config: Config) -> Pins:
    """Return the pins of a daemon; their helper is started when it is first needed."""
    if config.pins_socket is not None:
        return Pins.at(config.pins_socket)
    pins = spawned(config.pins_directory)
    if not Path(config.pins_directory).exists():
        pins.assume_no_pins()
    return pins


def sweep(
    config: Config,
    pins: Pins,
    places: SecretMounts,
    containers: Containers,
    store: str,
    live: Callable[[], Iterable[str]],
) -> None:
    """Unmount what earlier containers had mounted; ``live`` tells the names still in use."""

    def keep() -> set[str]:
        """Return whose mounts are in use, or will be taken away when their container is."""
        names = set(live())
        for item in containers.ours(store):
            names.update(name.lstrip("/") for name in item["Names"])
        return names

    prefix = container_prefix(store)
    try:
        places.sweep(keep, prefix)
        if config.pins_socket is None and not Path(config.pins_directory).exists():
            return
        left = pins.sweep(keep, prefix)
    except LauncherError as error:
        log.warning("mounts of ended jobs may be left: %s", error.message)
    else:
        if left:
            log.info("took away the mounts of %s", ", ".join(left))


def are_pinned(asked: PolicyInput) -> bool:
    """Whether this job's mounts are opened as its owner."""
    return bool(asked.spec.volumes) and asked.person.owner.uid not in asked.policy.unbound


def mounts_of(asked: PolicyInput, places: Sequence[Place]) -> list[MountRequest]:
    """Return what is to be pinned: each mount below its root, read-only where the root is.

    ``places`` are directories of the container that must be there where they are in a mount.
    """
    mount_requests = []
    for bind in asked.spec.volumes:
        root = root_of(bind, asked.roots)
        if root is not None:  # else the policy has refused it
            path = os.path.relpath(bind.source, root.path)
            read_only = bind.read_only or root.read_only
            mount_requests.append(
                MountRequest(root.path, path, read_only, tuple(inside(bind, places)))
            )
    return mount_requests


def user_of(person: Person) -> User:
    """Return a user with all of the groups: what users may open themselves they may mount."""
    owner = person.owner
    return User(owner.uid, owner.gid, tuple(sorted(gids_of(owner))))


def as_mounted(asked: PolicyInput, directory: str, container: str) -> tuple[Mount, ...]:
    """Return a job's mounts as Docker is told of them."""
    if not are_pinned(asked):
        return asked.spec.volumes
    place = Path(directory, container)
    return tuple(
        replace(bind, source=str(place / str(number)))
        for number, bind in enumerate(asked.spec.volumes)
    )
