"""Users' mounts: what the policy allows a job to mount, held in place by the helper.

Users with access to Docker mount paths directly. Mounts of other users are opened as that user, and
Docker gets the paths of the pins.
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
from launcher.daemon.mounts.root_links import resolved
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.users.identity import gids_of
from launcher.engine.containers import Containers
from launcher.errors import LauncherError
from launcher.mount_helper import MountRequest, Pins, User, spawned
from launcher.spec.job_spec import Mount

log = logging.getLogger(__name__)


def pins_of(config: Config) -> Pins:
    """Return the pins of a daemon; their helper is started on first use."""
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
    """Unmount the mounts of earlier containers; ``live`` returns the names still in use."""

    def live_containers() -> set[str]:
        """Return containers whose mounts are in use, or will be removed with the container."""
        names = set(live())
        for item in containers.ours(store):
            names.update(name.lstrip("/") for name in item["Names"])
        return names

    prefix = container_prefix(store)
    try:
        places.sweep(live_containers, prefix)
        started_here = config.pins_socket is None
        if started_here and not (config.system and Path(config.pins_directory).exists()):
            return  # a user's own daemon mounts nothing in the system's directory
        left = pins.sweep(live_containers, prefix)
    except LauncherError as error:
        log.warning("could not remove the mounts of ended jobs: %s", error.message)
    else:
        if left:
            log.info("removed the mounts of %s", ", ".join(left))


def are_pinned(request: PolicyInput) -> bool:
    """Whether this job's mounts are opened as its owner."""
    return bool(request.spec.volumes) and request.person.owner.uid not in request.policy.unbound


def mounts_of(request: PolicyInput, places: Sequence[Place]) -> list[MountRequest]:
    """Return the mounts to pin: each below its root, read-only if the root is. Blocks.

    ``places`` are directories of the container that must exist in its mounts.
    """
    mount_requests = []
    for bind in request.spec.volumes:
        root = root_of(bind, request.roots)
        if root is not None:  # otherwise the policy has refused it
            path = os.path.relpath(bind.source, root.path)
            read_only = bind.read_only or root.read_only
            mount_requests.append(
                MountRequest(resolved(root.path), path, read_only, tuple(inside(bind, places)))
            )
    return mount_requests


def user_of(person: Person) -> User:
    """Return a user with all groups: users may mount whatever they may open themselves."""
    owner = person.owner
    return User(owner.uid, owner.gid, tuple(sorted(gids_of(owner))))


def as_mounted(request: PolicyInput, directory: str, container: str) -> tuple[Mount, ...]:
    """Return a job's mounts in the form that Docker gets."""
    if not are_pinned(request):
        return request.spec.volumes
    place = Path(directory, container)
    return tuple(
        replace(bind, source=str(place / str(number)))
        for number, bind in enumerate(request.spec.volumes)
    )
