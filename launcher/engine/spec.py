"""Builds the body of POST /containers/create from a job's spec; pure, and the only builder.

No text of a user reaches Docker unparsed (I8): every field comes from a typed value.
Docker API 1.41 and later.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launcher.core.model.gpu import Slice
from launcher.core.policy.policy import normal
from launcher.core.policy.sandbox import Confinement
from launcher.network import NETWORK, full_hostname
from launcher.spec.job_spec import JobSpec, Mount

LOG_CONFIG: dict[str, Any] = {
    "Type": "local",
    "Config": {"max-size": "50m", "max-file": "5", "compress": "false"},
}
"""``local`` keeps every byte; ``json-file`` replaces invalid UTF-8. It is read only if the
output keeper could not read a container's output itself."""
MAX_NANO_CPUS = 9e18
"""Docker parses 64 bits; it reports this machine's range if a job requests more."""
HOOK_DRIVER_SINCE = (29, 2)
"""Since this version `--gpus` tries CDI first; a stale CDI spec then breaks MIG (moby 51942)."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything that determines one attempt's container.

    ``binds`` are the actual mounts: where the owner's paths are pinned, their sources are the pins.
    """

    job: int
    attempt: int
    spec: JobSpec
    slices: tuple[Slice, ...]
    image_id: str
    confinement: Confinement
    labels: dict[str, str]
    binds: tuple[Mount, ...] = ()
    gpu_driver: str | None = ""
    """None: the slices have no devices that Docker can assign."""
    deadline: str | None = None
    index: int | None = None


def gpu_driver(engine_version: str) -> str:
    """Return the driver name that device requests need with this engine version."""
    numbers = engine_version.split("+", maxsplit=1)[0].split("-", maxsplit=1)[0].split(".")
    parsed = tuple(int(n) for n in numbers[:2] if n.isdigit())
    return "nvidia.runtime-hook" if parsed >= HOOK_DRIVER_SINCE else ""


def create_body(launch: ContainerSpec) -> dict[str, Any]:
    """Return the create body of an attempt."""
    spec = launch.spec
    body: dict[str, Any] = {
        "Image": launch.image_id,
        "Env": [f"{name}={value}" for name, value in environment(launch).items()],
        "Labels": dict(launch.labels),
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StdinOnce": spec.stdin_open,  # a client that has sent all ends the container's input
        "AttachStdin": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(launch),
    }
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        body["Entrypoint"] = list(spec.entrypoint)
    own = launch.confinement.directories
    working_dir = spec.working_dir or (own.working_dir if own is not None else None)
    if working_dir is not None:
        body["WorkingDir"] = normal(working_dir)
    if spec.hostname is not None:
        in_network = launch.confinement.network == NETWORK
        body["Hostname"] = full_hostname(spec.hostname) if in_network else spec.hostname
    if launch.confinement.user is not None:
        body["User"] = launch.confinement.user
    return body


def environment(launch: ContainerSpec) -> dict[str, str]:
    """Return the container's environment: the user's variables, overridden by ours."""
    env = dict(launch.spec.environment)
    login = launch.confinement.login
    own = launch.confinement.directories
    if login is not None and own is not None:
        ours = {"HOME": own.home_path, "USER": login, "LOGNAME": login}
        env = ours | env | {"HOME": own.home_path}
    env |= own_variables(launch.job, launch.attempt, launch.slices, launch.index, launch.deadline)
    if not _device_requests(launch):
        # `void`, not `none`: old toolkits gave every GPU for `none`.
        env["NVIDIA_VISIBLE_DEVICES"] = "void"
    return env


def own_variables(
    job: int, attempt: int, slices: Sequence[Slice], index: int | None, deadline: str | None
) -> dict[str, str]:
    """Return the LAUNCHER_ variables of an attempt."""
    env = {
        "LAUNCHER_JOB_ID": str(job),
        "LAUNCHER_ATTEMPT": str(attempt),
        "LAUNCHER_SLICES": ",".join(s.uuid for s in slices),
        "LAUNCHER_PROFILE": slices[0].profile if slices else "none",
    }
    if index is not None:
        env["LAUNCHER_ARRAY_INDEX"] = str(index)
    if deadline is not None:
        env["LAUNCHER_DEADLINE"] = deadline
    return env


def _device_requests(launch: ContainerSpec) -> list[dict[str, Any]]:
    """Return the container's device request, if any; two would overwrite each other."""
    if launch.gpu_driver is None or not launch.slices:
        return []
    return [device_request(launch.slices, launch.gpu_driver, launch.confinement.gpu_capabilities)]


def _host_config(launch: ContainerSpec) -> dict[str, Any]:
    spec = launch.spec
    config: dict[str, Any] = {
        "Init": True,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "ShmSize": launch.confinement.shm_size,
        "LogConfig": LOG_CONFIG,
        "Mounts": [
            {
                "Type": "bind",
                "Source": bind.source,
                "Target": bind.target,
                "ReadOnly": bind.read_only,
                "BindOptions": {"Propagation": "rprivate"},
            }
            for bind in launch.binds
        ],
        "Tmpfs": _tmpfs(launch),
    }
    if requests := _device_requests(launch):
        config["DeviceRequests"] = requests
    else:
        config["Runtime"] = "runc"
    cpus = spec.cpus
    if cpus is None and spec.gpus.kind == "none":
        cpus = 1.0  # it uses one CPU slot
    if cpus is not None:
        config["NanoCpus"] = round(min(cpus * 1e9, MAX_NANO_CPUS))
    return config | _confinement(launch.confinement)


def _confinement(limits: Confinement) -> dict[str, Any]:
    """Return the fields of HostConfig that confine a container."""
    config: dict[str, Any] = {}
    if limits.memory is not None:
        config["Memory"] = config["MemorySwap"] = limits.memory
    if limits.pids is not None:
        config["PidsLimit"] = limits.pids
    if limits.nofile is not None or limits.ulimits:
        most = (
            {}
            if limits.nofile is None
            else {"nofile": (limits.nofile, limits.nofile), "core": (0, 0)}
        )
        most |= {name: (soft, hard) for name, soft, hard in limits.ulimits}
        config["Ulimits"] = [{"Name": n, "Soft": s, "Hard": h} for n, (s, h) in most.items()]
    if limits.network is not None:
        config["NetworkMode"] = limits.network
    if limits.groups:
        config["GroupAdd"] = [str(gid) for gid in limits.groups]
    if limits.drop_capabilities:
        config["CapDrop"] = ["ALL"]
    if limits.no_new_privileges:
        config["SecurityOpt"] = ["no-new-privileges"]
    return config


def device_request(
    slices: tuple[Slice, ...], driver: str, capabilities: tuple[str, ...] = ("compute", "utility")
) -> dict[str, Any]:
    """Return the request for exactly these slices."""
    return {
        "Driver": driver,
        "Count": 0,
        "DeviceIDs": [s.uuid for s in slices],
        "Capabilities": [["gpu", *capabilities]],
        "Options": {},
    }


def _tmpfs(launch: ContainerSpec) -> dict[str, str]:
    """Return /tmp in memory, if an ordinary user's job wants it there.

    Not at or below a mount: runc follows symlinks, and a user could point one in a mount at /etc.
    """
    if launch.confinement.directories is None or launch.spec.tmp == "disk":
        return {}
    mounts = tuple(f"{posixpath.normpath(bind.target)}/" for bind in launch.binds)
    places = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
    return {path: how for path, how in places.items() if not f"{path}/".startswith(mounts)}
