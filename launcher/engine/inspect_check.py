"""Checks the container that Docker created (I9): exactly what was leased and granted.

Docker's inspect reply is checked field by field, without the create body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from launcher.engine.validate import Bounds
from launcher.network import NETWORK

_SHARED = ("PidMode", "UTSMode", "UsernsMode", "NetworkMode", "IpcMode", "CgroupnsMode")
_NOTHING = (
    "CapAdd",
    "Binds",
    "VolumesFrom",
    "Links",
    "PortBindings",
    "Sysctls",
    "CgroupParent",
    "ExtraHosts",
    "OomScoreAdj",
    "PublishAllPorts",
    "Annotations",
)
"""Fields of HostConfig that must be empty, 0 or false."""


def inspect_faults(info: dict[str, Any], bounds: Bounds, *, limits: bool = True) -> list[str]:
    """Return how the container that Docker created differs from its bounds.

    ``info`` is GET /containers/{id}/json. Without ``limits`` amounts are not compared: an earlier
    daemon created the container under other limits.
    """
    host = info.get("HostConfig") or {}
    faults = [*device_faults(info, bounds.devices), *_shared(host, bounds)]
    faults += [f"it has {name} {host[name]}" for name in _NOTHING if host.get(name)]
    if bounds.uid != 0:
        faults += _network(host, bounds, exact=limits)
        faults += _ordinary(info.get("Config") or {}, host, bounds)
    return faults + (list(_amounts(host, bounds)) if limits else [])


def as_created(info: dict[str, Any], bounds: Bounds) -> Bounds:
    """Return the bounds of a container that an earlier version may have created.

    Version 0.1.0 gave containers no directories of their own.
    """
    mounts = (info.get("HostConfig") or {}).get("Mounts") or []
    has_own = any(str(mount.get("Source")).startswith(bounds.homes) for mount in mounts)
    return bounds if has_own else replace(bounds, own=())


def device_faults(info: dict[str, Any], devices: list[str]) -> Iterator[str]:
    """Yield the differences between its devices and the leased ones."""
    host = info.get("HostConfig") or {}
    given = [i for r in host.get("DeviceRequests") or [] for i in r.get("DeviceIDs") or []]
    counted = any(r.get("Count") for r in host.get("DeviceRequests") or [])
    if given != devices or counted:
        yield f"it was given {given or 'nothing'}, leased is {devices or 'nothing'}"
    if host.get("Privileged"):
        yield "it is privileged"
    yield from (f"it has the device {d.get('PathOnHost')}" for d in host.get("Devices") or [])
    yield from (f"it has the device rule {r}" for r in host.get("DeviceCgroupRules") or [])
    if not devices and str(host.get("Runtime") or "runc") != "runc":
        yield f"a job without devices has the runtime {host['Runtime']}"


def _is_shared(mode: str) -> bool:
    """Whether a namespace mode is the host's or another container's."""
    return mode == "host" or mode.startswith(("container:", "ns:"))


def _shared(host: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    for name in _SHARED:
        value = str(host.get(name) or "")
        granted = name == "NetworkMode" and value == bounds.network
        if _is_shared(value) and not granted:
            yield f"{name} is {value}"
    mounts = [(m.get("Source"), m.get("Target")) for m in host.get("Mounts") or []]
    if mounts != [(source, target) for source, target, _ in bounds.all_mounts]:
        yield f"it mounts {mounts}, granted is {bounds.all_mounts}"
    elif bounds.secrets is not None and host["Mounts"][-1].get("ReadOnly") is not True:
        yield "its secrets can be written"


def _network(host: dict[str, Any], bounds: Bounds, *, exact: bool) -> Iterator[str]:
    """Yield a network that is neither the granted one nor, from an earlier daemon, a usual one.

    Docker reports its default network as "default" or by name.
    """
    default = ("", "default", "bridge")
    granted = default if bounds.network is None else (bounds.network,)
    usual = () if exact else (*default, "none", NETWORK)
    name = str(host.get("NetworkMode") or "")
    if name not in (*granted, *usual) and not _is_shared(name):  # that is reported anyway
        yield f"its network is {name or 'default'}, granted is {bounds.network or 'default'}"


def _ordinary(config: dict[str, Any], host: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    options = host.get("SecurityOpt") or []
    if config.get("User") != f"{bounds.uid}:{bounds.gid}":
        yield f"it runs as {config.get('User') or 'root'}, its owner is {bounds.uid}:{bounds.gid}"
    if host.get("CapDrop") != ["ALL"]:
        yield f"it keeps capabilities: dropped are {host.get('CapDrop') or 'none'}"
    if options != ["no-new-privileges"]:
        yield f"its security options are {options}"
    for name in ("MaskedPaths", "ReadonlyPaths"):
        if name in host and not host[name]:
            yield f"{name} is empty: the kernel's own files are open to it"


def _amounts(host: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    for name, granted in (
        ("Memory", bounds.memory),
        ("MemorySwap", bounds.memory),
        ("PidsLimit", bounds.pids),
    ):
        # 0 or -1 if this kernel cannot limit it: Docker drops the limit, and `doctor` reports it.
        if host.get(name) not in (granted, None, 0, -1):
            yield f"{name} is {host.get(name)}, granted is {granted}"
    groups = [str(gid) for gid in bounds.groups]
    if (host.get("GroupAdd") or []) != groups:
        yield f"its groups are {host.get('GroupAdd')}, granted is {groups}"
