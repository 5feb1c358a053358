"""A second look, written apart from ``spec``: at the final create body, and at what Docker made.

It knows the rules, not how the body came about; a disagreement is a bug or an attack and starts
nothing.
"""

from __future__ import annotations

from typing import Any

_BODY_KEYS = {
    "Image",
    "Env",
    "Labels",
    "Tty",
    "OpenStdin",
    "AttachStdin",
    "Healthcheck",
    "HostConfig",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
}
_HOST_KEYS = {
    "Init",
    "AutoRemove",
    "RestartPolicy",
    "IpcMode",
    "ShmSize",
    "LogConfig",
    "Mounts",
    "Tmpfs",
    "DeviceRequests",
    "Runtime",
    "Memory",
    "NanoCpus",
    "CapDrop",
    "SecurityOpt",
}
_OURS = ("NVIDIA_", "LD_", "DOCKER_RESOURCE_", "CUDA_VISIBLE_DEVICES")


def body_faults(body: dict[str, Any], uuids: list[str], uid: int) -> list[str]:
    """Return what is wrong with a create body for these leased slices and this owner."""
    host = body.get("HostConfig", {})
    faults = [f"unexpected field {k}" for k in body.keys() - _BODY_KEYS]
    faults += [f"unexpected field HostConfig.{k}" for k in host.keys() - _HOST_KEYS]
    if host.get("AutoRemove") or host.get("RestartPolicy", {}).get("Name") != "no":
        faults.append("auto-remove or a restart policy loses the truth")
    if host.get("LogConfig", {}).get("Type") != "json-file":
        faults.append("the log driver is not json-file")
    faults += _device_faults(host.get("DeviceRequests"), uuids)
    faults += _environment_faults(body.get("Env", []), uuids)
    if not uuids and host.get("Runtime") != "runc":
        faults.append("a CPU job must run with runtime runc")
    if uuids and "Runtime" in host:
        faults.append("a GPU job must not name a runtime")
    if uid != 0:
        faults += _ordinary_faults(body, host, uid)
    return faults


def _device_faults(requests: Any, uuids: list[str]) -> list[str]:
    if not uuids:
        return ["a CPU job has a device request"] if requests else []
    if not isinstance(requests, list) or len(requests) != 1:
        return ["a GPU job must have exactly one device request"]
    ids, count = requests[0].get("DeviceIDs"), requests[0].get("Count", 0)
    if ids != uuids or count:
        return [f"the device request names {ids} (count {count}), leased is {uuids}"]
    return []


def _environment_faults(env: list[str], uuids: list[str]) -> list[str]:
    ours = [entry for entry in env if entry.startswith(_OURS)]
    expected = [] if uuids else ["NVIDIA_VISIBLE_DEVICES=void"]
    if ours == expected:
        return []
    return [f"environment has {ours or 'nothing'} of the toolkit's, must have {expected}"]


def _ordinary_faults(body: dict[str, Any], host: dict[str, Any], uid: int) -> list[str]:
    faults = []
    if str(body.get("User", "")).split(":")[0] != str(uid):
        faults.append(f"the container of uid {uid} would run as {body.get('User') or 'root'}")
    if host.get("CapDrop") != ["ALL"]:
        faults.append("capabilities are not dropped")
    if host.get("SecurityOpt") != ["no-new-privileges"]:
        faults.append("no-new-privileges is missing")
    if host.get("Mounts"):
        faults.append("an ordinary user's job mounts the host")
    return faults


def inspect_faults(info: dict[str, Any], uuids: list[str]) -> list[str]:
    """Return how the container that Docker made differs from what was leased (I9).

    ``info`` is GET /containers/{id}/json.
    """
    host = info.get("HostConfig") or {}
    given = [i for r in host.get("DeviceRequests") or [] for i in r.get("DeviceIDs") or []]
    counted = any(r.get("Count") for r in host.get("DeviceRequests") or [])
    faults = []
    if given != uuids or counted:
        faults.append(f"it was given {given or 'nothing'}, leased is {uuids or 'nothing'}")
    if host.get("Privileged"):
        faults.append("it is privileged")
    faults += [f"it has the device {d.get('PathOnHost')}" for d in host.get("Devices") or []]
    if host.get("CapAdd"):
        faults.append(f"it has the capabilities {host['CapAdd']}")
    for name in ("PidMode", "NetworkMode", "UTSMode", "UsernsMode"):
        if host.get(name) == "host":
            faults.append(f"{name} is host")
    return faults
