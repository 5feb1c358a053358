"""What an admin sets: shares, quotas, limits, and what jobs may request. Read once, then frozen.

Each field of a table is a key of launcher.toml. Its kind, default and, after ``#:``, its meaning
are written here alone. Every default is that of a machine whose launcher.toml says nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from launcher.spec.gpus import GpuCapability
from launcher.toml_kinds import (
    Amount,
    Count,
    Duration,
    NameSet,
    PositiveDuration,
    PositiveFloat,
    PositiveInt,
    ReadBy,
    Size,
    names,
)

HOUR = 3600.0
DAY = 24 * HOUR
GPU_CAPABILITIES: tuple[str, ...] = get_args(GpuCapability)

ROOTS_GROUPS = frozenset(
    {"root", "docker", "disk", "shadow", "sudo", "wheel", "adm", "admin", "lxd", "lxc", "incus",
     "incus-admin", "libvirt", "libvirt-qemu", "kvm", "podman", "containerd", "kmem", "staff",
     "systemd-journal", "wireshark", "microk8s", "kubernetes"}
)  # fmt: skip
"""Groups whose members can become root, or read what is root's: containers never keep them."""
PUBLISHERS = (
    "docker.io/library/*", "docker.io/nvidia/*", "docker.io/pytorch/*", "docker.io/tensorflow/*",
    "docker.io/vllm/*", "docker.io/ollama/*", "docker.io/huggingface/*", "docker.io/lmsysorg/*",
    "docker.io/rapidsai/*", "docker.io/rayproject/*", "docker.io/condaforge/*",
    "docker.io/continuumio/*", "docker.io/mambaorg/*", "docker.io/rocker/*",
    "nvcr.io/nvidia/*", "nvcr.io/nim/*",
    "ghcr.io/huggingface/*", "ghcr.io/ggml-org/*", "ghcr.io/astral-sh/*", "ghcr.io/mlflow/*",
    "ghcr.io/nvidia/*", "ghcr.io/pytorch/*", "ghcr.io/mamba-org/*", "ghcr.io/prefix-dev/*",
    "quay.io/jupyter/*", "quay.io/condaforge/*",
)  # fmt: skip
"""Publishers of the images that people run on GPUs."""
_REPOSITORIES = re.compile(r"\*|[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*(/\*)?")
_CLOSED = ("/proc", "/sys", "/dev", "/run", "/var/run", "/var/lib", "/etc", "/boot", "/root")
_PROFILE_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class MountRoot:
    """A directory of the host below which users may mount; ``{user}`` is the submitter's name."""

    path: str
    read_only: bool = False


def _images(value: Any) -> tuple[str, ...]:
    for pattern in names(value):
        if not _REPOSITORIES.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a valid repository such as nvcr.io/nvidia/*")
    return tuple(p if "/" in p or p == "*" else f"{p}/*" for p in value)


def is_closed(path: str) -> bool:
    """Whether a path belongs to the system, and is never a root of mounts."""
    return any(f"{path}/".startswith(f"{closed}/") for closed in _CLOSED)


def _root(text: str) -> MountRoot:
    path, colon, mode = text.partition(":")
    if colon and mode not in ("ro", "rw"):
        raise ValueError(f"{mode!r} is not a valid mode: write ro or rw")
    if not path.startswith("/") or posixpath.normpath(path) != path or path == "/":
        raise ValueError(f"{path!r} must be an absolute path of a directory below /")
    if is_closed(path):
        raise ValueError(f"{path!r} belongs to the system and cannot be mounted")
    if "{" in path.replace("{user}", ""):
        raise ValueError(f"{path!r}: only {{user}} is replaced in it")
    return MountRoot(path, mode == "ro")


def _kept_groups(value: Any) -> frozenset[str]:
    result = frozenset(names(value))
    if roots := result & ROOTS_GROUPS:
        raise ValueError(f"{min(roots)} is as good as root: a container cannot have it")
    return result


def _gpu_capabilities(value: Any) -> frozenset[str]:
    for name in names(value):
        if name not in GPU_CAPABILITIES:
            known = ", ".join(GPU_CAPABILITIES)
            raise ValueError(f"{name!r} is not a driver capability: one of {known}")
    return frozenset(value) | {"compute", "utility"}


def _profile_name(name: str) -> str:
    if not _PROFILE_NAME.fullmatch(name):
        raise ValueError("a name is a letter, then a-z, 0-9, ._-")
    return name


_Images = Annotated[tuple[str, ...], ReadBy(_images)]
_MountRoots = Annotated[
    tuple[MountRoot, ...], ReadBy(lambda value: tuple(map(_root, names(value))))
]
ProfileName = Annotated[str, ReadBy(_profile_name)]


@dataclass(frozen=True, slots=True)
class PolicyProfile:
    """What a job may have beyond the rest, if its owner is in one of ``groups`` or trusted."""

    groups: NameSet = frozenset()  #: their members may name it
    network: Literal["host"] | None = None  #: the host's network
    images: _Images = ()  #: allowed too
    mount_roots: _MountRoots = ()  #: allowed too
    memory: Size | None = None  #: instead of the policy's
    pids: PositiveInt | None = None  #: instead of the policy's
    nofile: PositiveInt | None = None  #: instead of the policy's


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTable:
    """The table ``[policy]``: the limits of everybody's jobs."""

    #: what jobs may run; ["*"]: every registry
    images: _Images = PUBLISHERS
    latest: bool = True  #: false: a tag of its own, or a digest
    #: what jobs may mount
    mount_roots: _MountRoots = (
        MountRoot("/home/{user}"),
        MountRoot("/data/{user}"),
        MountRoot("/datasets", read_only=True),
    )
    #: the user's groups that containers keep; default: all from GID_MIN on that give no rights on
    #: this machine
    groups: Annotated[frozenset[str] | None, ReadBy(_kept_groups)] = None
    #: what containers may have of NVIDIA's driver
    gpu_capabilities: Annotated[frozenset[str], ReadBy(_gpu_capabilities)] = frozenset(
        {"compute", "utility", "video", "graphics"}
    )
    memory: Size | None = None  #: of one job; default: the host's times the share of its slices
    #: of one job's HOME, /tmp and writable layer; default: a quarter of the file system
    disk: Size | None = None
    pids: PositiveInt = 4096  #: processes of one job
    nofile: PositiveInt = 16384  #: open files of one process
    max_stop_grace: Duration = 300.0  #: the longest time between stop signal and kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(PolicyTable):
    """The limits of everybody's jobs on this machine. Sizes are bytes.

    ``host_groups``: who may start host jobs. ``unbound``: the uids that have Docker anyway.
    """

    profiles: Mapping[str, PolicyProfile] = field(default_factory=dict)
    host_groups: frozenset[str] = frozenset()
    host_memory: int = 2**63 - 1
    unbound: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one user, or all members of a group together, may have.

    None means no limit, for ordinary users the default that is named. Admins have no default.
    """

    running_slices: Count | None = None  #: in use at once
    running_gib: Amount | None = None  #: memory of these slices
    queued_jobs: Count | None = None  #: default: 10000
    running_cpu_slots: Count | None = None  #: of jobs without a GPU
    queued_bytes: Count | None = None  #: of unfinished jobs in the database; default: 64 MiB
    queued_kinds: Count | None = None  #: combinations of GPUs and time asked for; default: 100
    queued_dependencies: Count | None = None  #: of these jobs on others, in all; default: 20000
    log_bytes: Count | None = None  #: of all logs that are kept; default: 20 GiB
    image_bytes: Count | None = None  #: of images that users loaded; 0: none; default: 64 GiB
    cache_bytes: Count | None = None  #: of ~/.cache in jobs; default: a quarter of the file system


@dataclass(frozen=True, slots=True)
class FairShare:
    """How use counts: seconds, GiB, and the weight of a user by name."""

    half_life: PositiveDuration = 7 * DAY  #: after this time a use counts half
    entry_charge: Duration = 60.0  #: what a start counts for before its use is seen
    cpu_slot_gib: Amount = 1.0  #: what each CPU slot of a job without a GPU counts for
    shares: Mapping[str, PositiveFloat] = field(default_factory=dict)  #: by user; others have 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTable:
    """The table ``[queue]``: time limits and turns. Times are seconds."""

    default_time_limit: PositiveDuration | None = None  #: of jobs that name none
    max_time_limit: PositiveDuration | None = None  #: of all jobs; admins may exceed it
    assumed_time_limit: PositiveDuration = 12 * HOUR  #: counts where a job has no limit
    holdback_idle: PositiveDuration = 12 * HOUR  #: the longest time slices idle for a waiting gang
    preempt_after: Duration = 600.0  #: a preemptible job runs undisturbed for this time
    #: what happens to a job whose dependency cannot be satisfied
    unsatisfied_dependency: Literal["cancel", "hold"] = "cancel"

    def __post_init__(self) -> None:
        default, most = self.default_time_limit, self.max_time_limit
        if default is not None and most is not None and default > most:
            raise ValueError(
                f"default_time_limit ({default:g} s) is above queue.max_time_limit ({most:g} s)"
            )


def _port_range(value: Any) -> tuple[int, int]:
    """Return the first and the last port of a text like "20000-20099"."""
    first, _, last = str(value).partition("-")
    if not (first.isdecimal() and last.isdecimal()) or not 0 < int(first) <= int(last) < 65536:
        raise ValueError(f"{value!r} is not a range of ports such as 20000-20099")
    return int(first), int(last)


@dataclass(frozen=True, slots=True)
class PortsTable:
    """The table ``[ports]``: what leads to ports of containers beside their owners' sockets."""

    #: ports of 127.0.0.1, open to every user of the machine, for jobs with `loopback`; default:
    #: none, so that no job can have one
    loopback: Annotated[tuple[int, int] | None, ReadBy(_port_range)] = None


@dataclass(frozen=True, slots=True)
class InteractiveTable:
    """The table ``[interactive]``: limits of jobs with `-i`. Times are seconds."""

    image: str = "ubuntu:24.04"  #: what `launch shell` opens
    jobs: Count | None = None  #: of one user that wait or run; admins have no limit
    max_time_limit: PositiveDuration | None = None  #: of them; also where they name none
    #: one ends after this time with nobody attached, or with nothing typed or printed
    idle: PositiveDuration = 8 * HOUR


@dataclass(frozen=True, slots=True)
class Settings(QueueTable):
    """The rules of one queue."""

    fair_share: FairShare = field(default_factory=FairShare)
    user_quota: Quota = field(default_factory=Quota)
    user_quotas: Mapping[str, Quota] = field(default_factory=dict)
    group_quotas: Mapping[str, Quota] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    interactive: InteractiveTable = field(default_factory=InteractiveTable)
    ports: PortsTable = field(default_factory=PortsTable)

    def quota_of(self, user: str) -> Quota:
        """Return the quota of a user by name: the user's own, else the common one."""
        return self.user_quotas.get(user, self.user_quota)


DEFAULT_RULES = Settings()
"""The rules if launcher.toml sets none."""
