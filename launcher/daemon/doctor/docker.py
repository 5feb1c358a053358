"""Docker: whether it answers, can hand out GPUs and limits, and survives a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.daemon.doctor import disks, escapes
from launcher.daemon.doctor.dockerd import HOOK, HookBinary, hook_of
from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.doctor.versions import OLDEST_DOCKER_API, older
from launcher.daemon.machine.devices import Devices
from launcher.daemon.machine.tools import Host
from launcher.engine.connection import DockerConnection
from launcher.engine.spec import gpu_driver
from launcher.errors import EngineError, EngineUnavailable

Answer = Mapping[str, Any]

PATIENCE_SECONDS = 10.0
DRIVER_FIX = "Run nvidia-smi and check dmesg; if both are fine, try docker run --gpus all."
NOT_REAL = ok("gpu-support", "the GPU is not real: no device is requested from Docker")
HOOK_FIX = "Install nvidia-container-toolkit, then restart Docker: it looks for the hook at start."


def check(
    docker_host: str, refused: str | None, host: Host, gpus: bool, devices: Devices
) -> list[Finding]:
    """Check Docker; ``refused``: why it did not start the last GPU job, None if it did."""
    connection = DockerConnection(docker_host, PATIENCE_SECONDS)
    try:
        version, info = connection.version(), connection.info()
        are_given = devices.are_given()
    except (EngineUnavailable, EngineError) as error:
        return [problem("docker", error.message, error.fix)]
    return [
        reachable(docker_host, version),
        gpu_support(version, info, refused, hook_of(docker_host)) if are_given else NOT_REAL,
        *(cgroup_driver(info) if gpus else ()),
        live_restore(info),
        *limits(info),
        escapes.runc(version, host),
        disks.docker(info.get("DockerRootDir")),
    ]


def reachable(docker_host: str, version: Answer) -> Finding:
    """Check Docker's version and its API."""
    name = f"Docker {version.get('Version')} at {docker_host}"
    api = str(version.get("ApiVersion", ""))
    if older(api, OLDEST_DOCKER_API):
        return problem("docker", f"{name} has API {api}", "Install Docker 20.10 or later.")
    return ok("docker", name)


def gpu_support(version: Answer, info: Answer, refused: str | None, hook: HookBinary) -> Finding:
    """Check how Docker hands out GPUs, and the name under which they are requested."""
    if refused:
        missing = "nvidia-container-toolkit" in refused
        return problem("gpu-support", refused, HOOK_FIX if missing else DRIVER_FIX)
    driver = gpu_driver(str(version.get("Version", "")))
    how = f"requested as driver {driver}" if driver else "requested by capability, as --gpus does"
    others = list(_other_ways(info))
    if hook.path is not None:
        return ok("gpu-support", f"Docker hands out GPUs by {hook.path}, {how}")
    if hook.certain:
        unused = f"; it has {' and '.join(others)}, which jobs do not use" if others else ""
        text = f"dockerd does not find {HOOK} on its PATH: GPU jobs cannot start{unused}"
        return problem("gpu-support", text, HOOK_FIX)
    if others:
        text = f"Docker can hand out GPUs by {' and '.join(others)}; unknown whether it has {HOOK}"
        return ok("gpu-support", text)
    return warning(
        "gpu-support",
        f"no {HOOK}, nvidia runtime or CDI device was found for Docker",
        HOOK_FIX,
    )


def _other_ways(info: Answer) -> Iterator[str]:
    if "nvidia" in (info.get("Runtimes") or {}):
        yield "the nvidia runtime"
    devices = [d.get("ID", "") for d in info.get("DiscoveredDevices") or []]
    count = sum("nvidia.com/gpu" in device for device in devices)
    if count:
        yield f"{count} CDI device(s)"


def cgroup_driver(info: Answer) -> Iterator[Finding]:
    """Check whether systemd can revoke the GPU from containers that got it from the hook."""
    driver = info.get("CgroupDriver")
    if driver == "systemd":
        yield warning(
            "cgroup-driver",
            "systemd: `systemctl daemon-reload` (package upgrades run it) can revoke the GPU of "
            "running jobs",
            'Put "exec-opts": ["native.cgroupdriver=cgroupfs"] into /etc/docker/daemon.json and '
            "restart Docker when no job runs.",
        )
    else:
        yield ok("cgroup-driver", f"{driver or 'unknown'}: a daemon-reload revokes no GPU")


def limits(info: Answer) -> Iterator[Finding]:
    """Report limits that this kernel cannot enforce: Docker drops them silently."""
    features = {"MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "number of processes"}
    missing = [feature for key, feature in features.items() if info.get(key) is False]
    if missing:
        yield warning(
            "limits",
            f"Docker cannot limit the {' and the '.join(missing)} of a container here",
            "Enable the kernel's cgroup controllers (for swap: swapaccount=1).",
        )


def live_restore(info: Answer) -> Finding:
    """Check whether jobs survive a restart of Docker."""
    if info.get("LiveRestoreEnabled"):
        return ok("live-restore", "on: jobs survive a restart of Docker")
    return warning(
        "live-restore",
        "off: a restart of Docker kills every running job",
        'Put "live-restore": true into /etc/docker/daemon.json and reload Docker.',
    )
