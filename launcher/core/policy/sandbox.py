"""The confinement of a job's container: the parts of the host that the policy leaves its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.core.policy.own_directories import OwnDirectories, own_directories
from launcher.core.policy.policy import PolicyInput
from launcher.core.policy.settings import GPU_CAPABILITIES
from launcher.spec.job_spec import Ulimit

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Confinement:
    """``user`` in Docker's form, None for the image's own; ``memory`` in bytes.

    ``groups`` are the gids that the user keeps; None means no limit. ``shm_size`` is that of
    /dev/shm in bytes. ``ulimits`` are (name, soft, hard), beside ``nofile``.
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
    ulimits: tuple[tuple[str, int, int], ...] = ()
    gpu_capabilities: tuple[str, ...] = ("compute", "utility")
    directories: OwnDirectories | None = None


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


def gpu_capabilities(request: PolicyInput, image_capabilities: str) -> tuple[str, ...]:
    """Return what the container gets of NVIDIA's driver, in a fixed order.

    ``image_capabilities`` is the image's NVIDIA_DRIVER_CAPABILITIES: names with commas, or ``all``.
    What the policy does not allow is left out of it; a job's own request was refused.
    """
    wanted: set[str] = {"compute", "utility", *request.spec.gpus.capabilities}
    words = {word.strip() for word in image_capabilities.split(",")}
    allowed = request.policy.gpu_capabilities
    wanted |= allowed if "all" in words else words & allowed
    return tuple(name for name in GPU_CAPABILITIES if name in wanted)


@dataclass(frozen=True, slots=True)
class ImageWishes:
    """What an image's configuration asks for: its WORKDIR and NVIDIA_DRIVER_CAPABILITIES."""

    working_dir: str | None = None
    gpu_capabilities: str = ""


NO_WISHES = ImageWishes()


def gets_job_network(request: PolicyInput) -> bool:
    """Whether a job gets the launcher's own network, where Docker has it."""
    is_default = request.spec.network_mode in (None, "default")
    return is_default and request.person.owner.uid not in request.policy.unbound


def _network(request: PolicyInput, job_network: str | None) -> str | None:
    """Return the container's network, None for Docker's default."""
    if gets_job_network(request):
        return job_network
    mode = request.spec.network_mode
    return None if mode == "default" else mode


def confinement(
    request: PolicyInput, image: ImageWishes = NO_WISHES, job_network: str | None = None
) -> Confinement:
    """Return the limits of the container of this job.

    ``job_network`` is the network of ordinary users' jobs, None where they get Docker's default.
    """
    spec, owner, policy, profile = (
        request.spec,
        request.person.owner,
        request.policy,
        request.profile,
    )
    network = _network(request, job_network)
    capabilities = gpu_capabilities(request, image.gpu_capabilities)
    if owner.uid == 0:
        return Confinement(
            spec.user,
            drop_capabilities=False,
            no_new_privileges=False,
            network=network,
            memory=spec.mem_limit,
            shm_size=shm_size(request),
            ulimits=_ulimits(spec.ulimits),
            gpu_capabilities=capabilities,
        )
    unbound = owner.uid in policy.unbound
    return Confinement(
        user=f"{owner.uid}:{owner.gid}",
        login=owner.name,
        groups=request.person.gids,
        network=network,
        memory=spec.mem_limit or (None if unbound else request.most_memory),
        pids=profile.pids or policy.pids,
        nofile=profile.nofile or policy.nofile,
        shm_size=shm_size(request),
        ulimits=_ulimits(spec.ulimits),
        gpu_capabilities=capabilities,
        directories=own_directories(request, image.working_dir),
    )


def _ulimits(limits: Mapping[str, Ulimit]) -> tuple[tuple[str, int, int], ...]:
    return tuple((name, limit.soft, limit.hard) for name, limit in sorted(limits.items()))
