"""Checks the final create body independently of ``spec`` and ``policy``.

It knows the rules, not how the body was built; a disagreement is a bug or an attack, and nothing
starts. Every permitted field has one rule; a field without a rule is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from launcher.network import NETWORK

_OURS = (
    "NVIDIA_",
    "LD_",
    "GLIBC_TUNABLES=",
    "GCONV_PATH=",
    "DOCKER_RESOURCE_",
    "CUDA_VISIBLE_DEVICES",
)
_DRIVERS = ("", "nvidia.runtime-hook")
_CAPABILITIES = {"gpu", "compute", "utility", "video", "graphics", "display", "compat32"}
_REQUEST_KEYS = {"Driver", "Count", "DeviceIDs", "Capabilities", "Options"}
_CLOSED = re.compile(r"/{1,2}($|(proc|sys|dev|run|var/run|etc|usr|lib\w*|bin|sbin|boot)(/|$))")
_KERNELS = re.compile(r"/*(proc|sys|dev)(/|$)|[^/]|.*[\0-\x1f\x7f]", re.DOTALL)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE | re.ASCII)
_SECRETS = ("/run/secrets", True)
_MOUNT_KEYS = {"Type", "Source", "Target", "ReadOnly", "BindOptions"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one container may receive: its leased UUIDs, its owner, and the policy's grants.

    ``unbound`` owners have access to Docker anyway: uid 0, or the owner of a per-user daemon.
    ``mounts`` are (source, target, read-only), for all other owners below ``pins``. ``secrets`` is
    the source of the extra mount of a job with secrets. ``memory`` is in bytes, None for no limit;
    so are ``pids`` and ``nofile``. ``own`` are the mounts of the job's own directories, which are
    below ``homes``. ``tty`` and ``stdin``: the job asked for a terminal, for an open input.
    Not ``real``: slices of the fake GPU, which have no devices.
    """

    uuids: list[str]
    uid: int
    gid: int
    unbound: bool = False
    groups: tuple[int, ...] = ()
    network: str | None = None
    mounts: tuple[tuple[str, str, bool], ...] = ()
    pins: str = "/nowhere/"
    secrets: str | None = None
    memory: int | None = None
    pids: int | None = None
    nofile: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    gpu_capabilities: tuple[str, ...] = ("compute", "utility")
    tty: bool = False
    stdin: bool = False
    own: tuple[tuple[str, str, bool], ...] = ()
    homes: str = "/nowhere/"
    real: bool = True

    @property
    def devices(self) -> list[str]:
        """The devices to request from Docker."""
        return self.uuids if self.real else []

    @property
    def all_mounts(self) -> tuple[tuple[str, str, bool], ...]:
        """All mounts of the container, in order."""
        mounts = (*self.mounts, *self.own)
        return mounts if self.secrets is None else (*mounts, (self.secrets, *_SECRETS))


Rule = Callable[[Any], bool]


def _is(*allowed: Any) -> Rule:
    """Return a rule that permits these values, of the same type (0 is not False)."""
    return lambda value: any(type(value) is type(a) and value == a for a in allowed)


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _fields(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _amount(value: Any) -> bool:
    return type(value) is int and value > 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _pinned(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("sha256:")


def _log_config(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"Type", "Config"}
        and value["Type"] == "local"
        and isinstance(value["Config"], dict)
        and value["Config"].keys() == {"max-size", "max-file", "compress"}
    )


_BODY: dict[str, Rule] = {
    "Image": _pinned,
    "Env": _strings,
    "Labels": lambda value: isinstance(value, dict),
    "Tty": _is(False, True),
    "OpenStdin": _is(False, True),
    "StdinOnce": _is(False, True),
    "AttachStdin": _is(False),
    "Healthcheck": _is({"Test": ["NONE"]}),
    "HostConfig": lambda value: isinstance(value, dict),
}
_BODY_MAY: dict[str, Rule] = {
    "Cmd": _strings,
    "Entrypoint": _strings,
    "WorkingDir": _text,
    "Hostname": lambda value: (
        isinstance(value, str) and _LABEL.fullmatch(value.removesuffix(f".{NETWORK}")) is not None
    ),
    "User": _text,
}
_HOST: dict[str, Rule] = {
    "Init": _is(True),
    "AutoRemove": _is(False),
    "RestartPolicy": _is({"Name": "no"}),
    "IpcMode": _is("private"),
    "CgroupnsMode": _is("private"),
    "ShmSize": _amount,
    "LogConfig": _log_config,
    "Mounts": _fields,
    "Tmpfs": lambda value: isinstance(value, dict),
}
_HOST_MAY: dict[str, Rule] = {
    "DeviceRequests": _fields,
    "Runtime": _is("runc"),
    "Memory": _amount,
    "MemorySwap": _amount,
    "PidsLimit": _amount,
    "Ulimits": _fields,
    "NetworkMode": _is("none", "host", NETWORK),
    "GroupAdd": _strings,
    "NanoCpus": _amount,
    "CapDrop": _is(["ALL"]),
    "SecurityOpt": _is(["no-new-privileges"]),
}


def _stream_faults(body: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    """Yield a terminal or an open standard input that the job has not asked for, or lacks."""
    granted = {"Tty": bounds.tty, "OpenStdin": bounds.stdin, "StdinOnce": bounds.stdin}
    for name, value in granted.items():
        if body[name] is not value:
            yield f"{name} is {body[name]}, granted is {value}"


def body_faults(body: dict[str, Any], bounds: Bounds) -> list[str]:
    """Return the faults of a create body within these bounds."""
    faults = list(_rules(body, _BODY, _BODY_MAY, ""))
    host = body.get("HostConfig")
    if not isinstance(host, dict):
        return faults
    faults += _rules(host, _HOST, _HOST_MAY, "HostConfig.")
    if faults:
        return faults
    faults += _stream_faults(body, bounds)
    faults += _device_faults(host, bounds.devices, bounds.gpu_capabilities)
    faults += _environment_faults(body["Env"], bounds)
    faults += _label_faults(body["Labels"], bounds.uuids, bounds.uid)
    faults += _mount_faults(host["Mounts"], bounds)
    faults += _granted_faults(host, bounds)
    faults += _hostname_faults(body.get("Hostname", ""), bounds.network)
    faults += [] if bounds.uid == 0 else _ordinary_faults(body, host, bounds)
    if bounds.uid == 0 and host["Tmpfs"]:
        faults.append(f"tmpfs {host['Tmpfs']} is not allowed")
    return faults


def _rules(
    fields: dict[str, Any], must: dict[str, Rule], may: dict[str, Rule], where: str
) -> Iterator[str]:
    for name in must.keys() - fields.keys():
        yield f"{where}{name} is missing"
    for name, value in fields.items():
        rule = must.get(name) or may.get(name)
        if rule is None:
            yield f"unexpected field {where}{name}"
        elif not rule(value):
            yield f"{where}{name} must not be {'what it is' if name == 'Env' else repr(value)}"


def _device_faults(
    host: dict[str, Any], uuids: list[str], capabilities: tuple[str, ...]
) -> Iterator[str]:
    requests = host.get("DeviceRequests")
    if not uuids:
        if requests is not None:
            yield "a job without devices has a device request"
        if "Runtime" not in host:
            yield "a job without devices must run with runtime runc"
        return
    if "Runtime" in host:
        yield "a GPU job must not name a runtime"
    if not requests or len(requests) != 1 or requests[0].keys() != _REQUEST_KEYS:
        yield "a GPU job must have exactly one device request, with exactly its five fields"
        return
    (request,) = requests
    if request["DeviceIDs"] != uuids or not _is(0)(request["Count"]):
        given = f"{request['DeviceIDs']} (count {request['Count']})"
        yield f"the device request names {given}, leased is {uuids}"
    if request["Driver"] not in _DRIVERS or request["Options"] != {}:
        yield f"the device request has driver {request['Driver']!r} and {request['Options']}"
    if request["Capabilities"] != [["gpu", *capabilities]] or not {*capabilities} <= _CAPABILITIES:
        yield f"the device request asks for {request['Capabilities']}, granted is {capabilities}"


def _environment_faults(env: list[str], bounds: Bounds) -> Iterator[str]:
    """Yield faults of the environment, without its values: they may be secrets."""
    ours = [entry for entry in env if entry.startswith(_OURS)]
    expected = [] if bounds.devices else ["NVIDIA_VISIBLE_DEVICES=void"]
    if ours != expected:
        names = [entry.partition("=")[0] for entry in ours]
        yield f"environment has {names or 'nothing'} of the toolkit's, must have {expected}"
    slices_variables = [entry for entry in env if entry.startswith("LAUNCHER_SLICES=")]
    if slices_variables != [f"LAUNCHER_SLICES={','.join(bounds.uuids)}"]:
        yield f"environment has {slices_variables}, leased is {bounds.uuids}"
    yield from (
        f"environment has {entry!r}, which sets nothing" for entry in env if "=" not in entry
    )


def _label_faults(labels: dict[str, Any], uuids: list[str], uid: int) -> Iterator[str]:
    label_values = (labels.get("launcher.slices"), labels.get("launcher.uid"))
    if label_values != (",".join(uuids), str(uid)):
        yield f"the labels name {label_values}, leased is {uuids} to uid {uid}"
    yield from (f"the label {k} is not ours" for k in labels if not k.startswith("launcher."))


def _mount_faults(mounts: list[dict[str, Any]], bounds: Bounds) -> Iterator[str]:
    yield from (f"the mount {mount} is not allowed" for mount in mounts if not _bind(mount))
    actual = tuple((m.get("Source"), m.get("Target"), m.get("ReadOnly")) for m in mounts)
    if actual != bounds.all_mounts:
        yield f"it mounts {actual}, granted is {bounds.all_mounts}"
    if bounds.secrets not in (None, f"{bounds.pins}secrets") and not bounds.unbound:
        yield f"the secrets of uid {bounds.uid} are at {bounds.secrets}, which is not a pin"
    yield from _own_faults(bounds)
    if not bounds.unbound and bounds.uid != 0:
        for mount in mounts[: len(bounds.mounts)]:
            if not re.fullmatch(re.escape(bounds.pins) + r"\d+", str(mount.get("Source"))):
                yield f"an ordinary user's job mounts {mount.get('Source')}, which is not a pin"
            if _CLOSED.match(posixpath.normpath(str(mount.get("Target")))):
                yield f"an ordinary user's job hides {mount.get('Target')}"


def _own_faults(bounds: Bounds) -> Iterator[str]:
    """Yield faults of the mounts of the job's own directories."""
    for source, target, read_only in bounds.own:
        inner = source.removeprefix(bounds.homes)
        named = re.fullmatch(r"jobs/[a-z0-9][a-z0-9.-]*/(home|tmp|passwd|group)", inner)
        cache = inner == f"caches/{bounds.uid}/cache"
        files = {"/etc/passwd": "/passwd", "/etc/group": "/group"}
        in_home = target.startswith("/home/") and posixpath.normpath(target) == target
        fits = (
            inner.endswith(files[target]) and read_only
            if target in files
            else (target == "/tmp" and inner.endswith("/tmp"))
            or (in_home and (cache or inner.endswith("/home")))
        )
        if bounds.uid == 0 or inner == source or not (named or cache) or not fits:
            yield f"it has {source} at {target}, which is not its own directory"


def _bind(mount: dict[str, Any]) -> bool:
    return (
        mount.keys() == _MOUNT_KEYS
        and mount["Type"] == "bind"
        and all(str(mount[end]).startswith("/") for end in ("Source", "Target"))
        and type(mount["ReadOnly"]) is bool
        and mount["BindOptions"] == {"Propagation": "rprivate"}
    )


def _granted_faults(host: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    """Yield the limits and shares of the host that differ from the grants."""
    memory, swap = host.get("Memory"), host.get("MemorySwap")
    if memory != bounds.memory or swap != memory:
        yield f"its memory is {memory} (with swap {swap}), granted is {bounds.memory}"
    if host.get("PidsLimit") != bounds.pids:
        yield f"its processes are {host.get('PidsLimit')}, granted is {bounds.pids}"
    if host.get("NetworkMode") != bounds.network:
        yield f"its network is {host.get('NetworkMode')}, granted is {bounds.network}"
    if bounds.network == NETWORK and bounds.unbound:
        yield f"the network {NETWORK} is for ordinary users' jobs"
    if host.get("GroupAdd", []) != [str(gid) for gid in bounds.groups]:
        yield f"its groups are {host.get('GroupAdd')}, granted is {bounds.groups}"
    limits = [(u.get("Name"), u.get("Soft"), u.get("Hard")) for u in host.get("Ulimits", [])]
    open_files = bounds.nofile
    usual = [] if open_files is None else [("nofile", open_files, open_files), ("core", 0, 0)]
    named = {name for name, _, _ in bounds.ulimits}
    granted = sorted([*(u for u in usual if u[0] not in named), *bounds.ulimits])
    if sorted(limits) != granted or any(type(n) is not int for limit in limits for n in limit[1:]):
        yield f"its ulimits are {limits}, granted is {granted}"


def _hostname_faults(hostname: str, network: str | None) -> Iterator[str]:
    """Yield a short hostname that other jobs of the network could take for a server's."""
    label, _, domain = hostname.partition(".")
    if label and bool(domain) != (network == NETWORK) and len(label) < 64 - len(NETWORK):
        yield f"its hostname is {hostname!r} in the network {network}"


def _ordinary_faults(body: dict[str, Any], host: dict[str, Any], bounds: Bounds) -> Iterator[str]:
    if body.get("User") != f"{bounds.uid}:{bounds.gid}":
        yield f"the container of uid {bounds.uid} would run as {body.get('User') or 'root'}"
    if not bounds.unbound and _KERNELS.match(posixpath.normpath(body.get("WorkingDir", "/"))):
        yield f"it would start in {body['WorkingDir']!r}"
    if "CapDrop" not in host:
        yield "capabilities are not dropped"
    if "SecurityOpt" not in host:
        yield "no-new-privileges is missing"
    if not bounds.unbound and None in (bounds.memory, bounds.pids, bounds.nofile):
        yield "an ordinary user's job has no limit of memory, processes or open files"
    if 0 in bounds.groups:
        yield "an ordinary user's job is in root's group"
    for place, how in host["Tmpfs"].items():
        if place != "/tmp" or not {"nosuid", "nodev"} <= set(str(how).split(",")):
            yield f"tmpfs {place} ({how}) is not allowed"
        for target in (posixpath.normpath(str(mount.get("Target"))) for mount in host["Mounts"]):
            if place == target or place.startswith(f"{target}/"):
                yield f"tmpfs {place} is in a mount, {target}"
