"""The confinement of a job's container: the parts of the host that the policy leaves its owner."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.policy.policy import PolicyInput


@dataclass(frozen=True, slots=True)
class Confinement:
    """``user`` in Docker's form, None for the image's own; ``memory`` in bytes.

    ``groups`` are the gids that the user keeps; None means no limit.
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
    )
