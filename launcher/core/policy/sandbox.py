"""How a job's container is kept in: what the policy leaves of the host for its owner."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.policy.policy import PolicyInput


@dataclass(frozen=True, slots=True)
class Confinement:
    """``user`` as Docker writes it, None for the image's own; ``memory`` in bytes.

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


def confinement(asked: PolicyInput) -> Confinement:
    """Return what the container of this job is allowed to be."""
    spec, owner, policy, profile = asked.spec, asked.person.owner, asked.policy, asked.profile
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
        groups=() if unbound else asked.person.gids,
        network=network,
        memory=spec.mem_limit or (None if unbound else asked.most_memory),
        pids=profile.pids or policy.pids,
        nofile=profile.nofile or policy.nofile,
    )
