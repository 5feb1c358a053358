"""What a job may ask for, by who asks: the safe side until an admin opens more.

An ordinary user's container runs as his own uid:gid without capabilities and cannot mount the
host; uid 0 may. Checked at submit and again when the container is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.core.job import JobSpec, NeedKind, Owner
from launcher.errors import NotAllowed, UserError

MAX_USER_PRIORITY = 50
MAX_PRIORITY = 1000

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = re.compile(r"(NVIDIA_|LD_|DOCKER_RESOURCE_|LAUNCHER_).*|CUDA_VISIBLE_DEVICES")
_ENV_BYTES = 64 * 1024
_MIN_MEMORY = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Confinement:
    """How a container is kept in: ``user`` as Docker writes it, None for the image's own."""

    user: str | None
    drop_capabilities: bool
    no_new_privileges: bool
    login: str | None


def confinement(spec: JobSpec, owner: Owner) -> Confinement:
    """Return what the container of this owner's job is allowed to be."""
    if owner.uid == 0:
        return Confinement(spec.user, False, False, None)
    return Confinement(f"{owner.uid}:{owner.gid}", True, True, owner.name)


def check(spec: JobSpec, owner: Owner) -> None:
    """Raise ``UserError`` for what nobody may ask, ``NotAllowed`` for what this owner may not."""
    _check_values(spec)
    for name, _ in spec.environment:
        if not _ENV_NAME.fullmatch(name):
            raise UserError(f"environment: {name!r} is not a variable name")
        if _OURS.fullmatch(name):
            raise UserError(
                f"environment: {name} cannot be set by a job",
                fix="The launcher and the NVIDIA toolkit set it from the slices that are leased.",
            )
    for bind in spec.binds:
        if not bind.source.startswith("/") or not bind.target.startswith("/"):
            raise UserError(f"volumes: {bind.source}:{bind.target} must be absolute paths")
    if owner.uid != 0:
        _check_ordinary(spec, owner)


def _check_values(spec: JobSpec) -> None:
    need = spec.need
    rules = (
        (_NAME.fullmatch(spec.name), f"name: {spec.name!r} is not lower-case letters, digits, ._-"),
        (spec.image.strip() == spec.image != "", f"image: {spec.image!r} is not an image"),
        (need.count >= 1, f"gpus: count {need.count} is not at least 1"),
        (need.kind is not NeedKind.PROFILE or need.profile, "gpus: the profile is missing"),
        (
            need.kind is not NeedKind.MEMORY or (need.memory_gb or need.memory_mib or 0) > 0,
            "gpus: the memory is missing",
        ),
        (
            need.kind is not NeedKind.UUID or len(set(need.uuids)) == len(need.uuids) > 0,
            "gpus: the UUIDs are missing or one is named twice",
        ),
        (0 <= spec.priority <= MAX_PRIORITY, f"priority: {spec.priority} is not 0 to 1000"),
        (spec.time_limit is None or spec.time_limit > 0, "time_limit: must be more than 0"),
        (0 <= spec.stop_grace <= 86400, "stop_grace_period: must be 0s to 24h"),
        (spec.cpus is None or spec.cpus > 0, "cpus: must be more than 0"),
        (spec.shm_size > 0, "shm_size: must be more than 0"),
        (
            spec.mem_limit is None or spec.mem_limit >= _MIN_MEMORY,
            "mem_limit: Docker takes no less than 6m",
        ),
        (
            sum(len(k) + len(v) + 2 for k, v in spec.environment) <= _ENV_BYTES,
            "environment: more than 64 KiB in all",
        ),
        (
            not any("\0" in text for text in (*(spec.command or ()), *(spec.entrypoint or ()))),
            "command: a NUL character cannot be passed to a program",
        ),
    )
    for holds, message in rules:
        if not holds:
            raise UserError(message)


def _check_ordinary(spec: JobSpec, owner: Owner) -> None:
    if spec.priority > MAX_USER_PRIORITY:
        raise NotAllowed(
            f"priority: {spec.priority} is above {MAX_USER_PRIORITY}, which is all a user may ask",
            fix="Ask for 50 or less, or let an admin submit the job.",
        )
    if spec.binds:
        raise NotAllowed(
            f"volumes: {spec.binds[0].source} cannot be mounted for {owner.name}: "
            "bind mounts are for uid 0 only",
            fix="Put the data into the image, or let an admin submit the job.",
        )
    allowed = {str(owner.uid), f"{owner.uid}:{owner.gid}", owner.name}
    if spec.user is not None and spec.user not in allowed:
        raise NotAllowed(
            f"user: {spec.user!r} is not yours: your jobs run as {owner.uid}:{owner.gid}",
            fix="Leave `user` out.",
        )
