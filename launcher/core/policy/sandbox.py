"""The confinement of a job's container: the parts of the host that the policy leaves its owner."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.policy.policy import PolicyInput

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Confinement:
    """``user`` in Docker's form, None for the image's own; ``memory`` in bytes.

    ``groups`` are the gids that the user keeps; None means no limit. ``shm_size`` is that of
    /dev/shm in bytes.
    """

    user: str | None
    login: str | None = None
    groups: tuple[int, ...] = ()
    drop_capabilities: bool = True
    no_new_privileges: bool = True
    network: str | None = None
    memory: int | None = None
    pids: int | None = None
    nofile: int | None = None
    shm_size: int = 64 * MIB


def shm_size(request: PolicyInput) -> int:
    """Return the size of /dev/shm: the requested one, or half of the job's memory.

    At most an eighth of the host's memory for each slice. What is in it counts as the job's memory.
    """
    if request.spec.shm_size is not None:
        return request.spec.shm_size
    host = request.policy.host_memory
    memory = request.spec.mem_limit or request.most_memory or host
    slices = max(1, request.spec.gpus.count if request.spec.gpus.kind != "none" else 1)
    return max(MIB, min(memory // 2, host // 8 * slices))


def confinement(request: PolicyInput) -> Confinement:
    """Return the limits of the container of this job."""
    spec, owner, policy, profile = (
        request.spec,
        request.person.owner,
        request.policy,
        request.profile,
    )
    network = None if spec.network_mode == "default" else spec.network_mode
    if owner.uid == 0:
        return Confinement(
            spec.user,
            drop_capabilities=False,
            no_new_privileges=False,
            network=network,
            memory=spec.mem_limit,
            shm_size=shm_size(request),
        )
    unbound = owner.uid in policy.unbound
    return Confinement(
        user=f"{owner.uid}:{owner.gid}",
        login=owner.name,
        groups=() if unbound else request.person.gids,
        network=network,
        memory=spec.mem_limit or (None if unbound else request.most_memory),
        pids=profile.pids or policy.pids,
        nofile=profile.nofile or policy.nofile,
        shm_size=shm_size(request),
    )
