"""What ``doctor`` checks: one line each, with what to do about it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any

from launcher import wire
from launcher.core.world import World
from launcher.daemon.context import Context
from launcher.engine.connection import Connection
from launcher.errors import EngineError, EngineUnavailable

LOW_DISK_MIB = 2048
HOOK_FIX = "Install nvidia-container-toolkit, then restart Docker: it looks for the hook at start."
OK, WARNING, PROBLEM = "ok", "warning", "problem"


def _check(name: str, state: Any, message: str, fix: str | None = None) -> wire.Check:
    return wire.Check(check=name, state=state, message=message, fix=fix)


async def checks(context: Context) -> list[wire.Check]:
    """Return every check, in the order in which things must be right."""
    return [
        *_daemon(context),
        *await asyncio.to_thread(_docker, context.config.docker_host, context.world.gpu_support),
        *_gpus(context),
        *_slices(context.world),
        *_disk(context),
    ]


def _daemon(context: Context) -> Iterator[wire.Check]:
    if context.brain.read_only:
        yield _check("daemon", PROBLEM, f"read-only: {context.brain.read_only}")
    else:
        yield _check("daemon", OK, f"runs with {context.config.state_dir}")


def _docker(host: str, refused: str | None) -> list[wire.Check]:
    """``refused``: why Docker did not start a GPU job the last time, None if it did."""
    connection = Connection(host)
    try:
        version, info = connection.version(), connection.info()
    except (EngineUnavailable, EngineError) as error:
        return [_check("docker", PROBLEM, error.message, error.fix)]
    found = [_check("docker", OK, f"Docker {version['Version']} at {host}")]
    found.append(_gpu_support(info, refused))
    if info.get("LiveRestoreEnabled"):
        found.append(_check("live-restore", OK, "on: jobs outlive a restart of Docker"))
    else:
        found.append(
            _check(
                "live-restore",
                WARNING,
                "off: a restart of Docker kills every running job",
                'Put "live-restore": true into /etc/docker/daemon.json and reload Docker.',
            )
        )
    return found


def _gpu_support(info: dict[str, Any], refused: str | None) -> wire.Check:
    if refused:
        return _check("gpu-support", PROBLEM, refused, HOOK_FIX)
    ways = []
    if shutil.which("nvidia-container-runtime-hook"):
        ways.append("the NVIDIA runtime hook")
    if "nvidia" in (info.get("Runtimes") or {}):
        ways.append("the nvidia runtime")
    if any("nvidia.com/gpu" in d.get("ID", "") for d in info.get("DiscoveredDevices") or []):
        ways.append("CDI")
    if ways:
        return _check("gpu-support", OK, f"Docker can hand out GPUs by {', '.join(ways)}")
    return _check(
        "gpu-support",
        WARNING,
        "no NVIDIA hook, runtime or CDI device was found for Docker",
        HOOK_FIX,
    )


def _gpus(context: Context) -> Iterator[wire.Check]:
    world = context.world
    if world.gpu_down:
        yield _check("nvml", PROBLEM, world.gpu_down, "CPU jobs run all the same.")
        return
    yield _check("nvml", OK, f"driver {context.health.driver_version}, {len(world.gpus)} GPU(s)")
    if context.health.processes_hidden:
        yield _check(
            "nvml processes",
            WARNING,
            "NVML does not list the processes on a slice: empty cgroups are the proof instead",
            "Run the daemon as root: then it also sees processes outside of containers.",
        )
    for gpu in world.gpus.values():
        name = f"gpu {gpu.index}"
        if gpu.mig_current is None:
            yield _check(name, OK, f"{gpu.name} cannot do MIG, it is leased whole")
        elif gpu.mig_current != gpu.mig_pending:
            yield _check(
                name,
                WARNING,
                f"{gpu.name}: MIG mode is {_on(gpu.mig_current)}, {_on(gpu.mig_pending)} pending",
                "Reset the GPU or reboot the machine.",
            )
        else:
            count = sum(s.slice.gpu_uuid == gpu.uuid for s in world.slices.values())
            yield _check(name, OK, f"{gpu.name}: MIG is {_on(gpu.mig_current)}, {count} slice(s)")


def _on(mode: bool | None) -> str:
    return "on" if mode else "off"


def _slices(world: World) -> Iterator[wire.Check]:
    for state in world.slices.values():
        if state.quarantine:
            yield _check("slice", WARNING, f"{state.slice.uuid} is quarantined: {state.quarantine}")
        elif state.foreign:
            yield _check("slice", WARNING, f"{state.slice.uuid} {state.foreign}")


def _disk(context: Context) -> Iterator[wire.Check]:
    free = shutil.disk_usage(context.config.state_dir).free // 2**20
    text = f"{free} MiB free for {context.config.state_dir}"
    if free < LOW_DISK_MIB:
        yield _check("disk", WARNING, text, "Free some space: a full disk stops the queue.")
    else:
        yield _check("disk", OK, text)
